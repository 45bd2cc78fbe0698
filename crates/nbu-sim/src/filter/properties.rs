//! Property test: a filter that is written down and parsed selects what its parts say.

#![allow(clippy::many_single_char_names, reason = "the attributes are called so")]

use proptest::prelude::*;

use super::{Kind, Op, Ops, Spec, Value, parse};

/// A filter over two integer attributes and a text, with its text and its meaning side by side.
#[derive(Clone, Debug)]
enum Naive {
    Number(char, &'static str, i64),
    Text(&'static str, String),
    And(Box<Naive>, Box<Naive>),
    Or(Box<Naive>, Box<Naive>),
    Not(Box<Naive>),
}

impl Naive {
    fn text(&self) -> String {
        match self {
            Self::Number(name, op, value) => format!("{name} {op} {value}"),
            Self::Text(op @ ("eq" | "ne"), value) => {
                format!("t {op} '{}'", value.replace('\'', "''"))
            }
            Self::Text(op, value) => format!("{op}(t,'{}')", value.replace('\'', "''")),
            Self::And(a, b) => format!("({}) and ({})", a.text(), b.text()),
            Self::Or(a, b) => format!("({}) or {}", a.text(), b.text()),
            Self::Not(a) => format!("not ({})", a.text()),
        }
    }

    fn holds(&self, a: i64, b: i64, t: &str) -> bool {
        match self {
            Self::Number(name, op, value) => {
                let row = if *name == 'a' { a } else { b };
                match *op {
                    "eq" => row == *value,
                    "ne" => row != *value,
                    "lt" => row < *value,
                    "gt" => row > *value,
                    "le" => row <= *value,
                    _ => row >= *value,
                }
            }
            Self::Text(op, value) => match *op {
                "eq" => t == value,
                "ne" => t != value,
                "contains" => t.contains(value.as_str()),
                "startswith" => t.starts_with(value.as_str()),
                _ => t.ends_with(value.as_str()),
            },
            Self::And(x, y) => x.holds(a, b, t) && y.holds(a, b, t),
            Self::Or(x, y) => x.holds(a, b, t) || y.holds(a, b, t),
            Self::Not(x) => !x.holds(a, b, t),
        }
    }
}

fn naive() -> impl Strategy<Value = Naive> {
    let op = prop::sample::select(vec!["eq", "ne", "lt", "gt", "le", "ge"]);
    let name = prop::sample::select(vec!['a', 'b']);
    let number = (name, op, -3..3_i64).prop_map(|(name, op, value)| Naive::Number(name, op, value));
    let op = prop::sample::select(vec!["eq", "ne", "contains", "startswith", "endswith"]);
    let text = (op, "[xy' ]{0,2}").prop_map(|(op, value)| Naive::Text(op, value));
    prop_oneof![number, text].prop_recursive(5, 32, 2, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            pair.clone().prop_map(|(a, b)| Naive::And(Box::new(a), Box::new(b))),
            pair.prop_map(|(a, b)| Naive::Or(Box::new(a), Box::new(b))),
            inner.prop_map(|a| Naive::Not(Box::new(a))),
        ]
    })
}

fn spec(name: &str) -> Option<Spec<char>> {
    let (ops, kind) = match name {
        "a" | "b" => (Ops::ORDER, Kind::Integer),
        "t" => (Ops::TEXT, Kind::Text),
        _ => return None,
    };
    Some(Spec { attribute: name.chars().next()?, ops, kind })
}

proptest! {
    #[test]
    fn parsed_filter_equals_its_parts(
        filter in naive(),
        rows in prop::collection::vec((-3..3_i64, -3..3_i64, "[xy' ]{0,3}"), 1..20),
    ) {
        let parsed = parse(&filter.text(), &spec).unwrap();
        for (a, b, t) in rows {
            let found = parsed.matches(&|attribute| match attribute {
                'a' => Value::Integer(a),
                'b' => Value::Integer(b),
                _ => Value::Text(t.as_str().into()),
            });
            prop_assert_eq!(found, filter.holds(a, b, &t), "{} on {} {} {:?}", filter.text(), a, b, t);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,60}") {
        let _ = parse(&text, &spec);
    }

    #[test]
    fn common_conditions_are_fulfilled_by_all_matches(filter in naive(), a in -3..3_i64, b in -3..3_i64) {
        let parsed = parse(&filter.text(), &spec).unwrap();
        let value = |attribute| match attribute {
            'a' => Value::Integer(a),
            'b' => Value::Integer(b),
            _ => Value::Text("xy".into()),
        };
        if parsed.matches(&value) {
            parsed.conjuncts(&mut |attribute, op: Op, wanted| {
                assert!(super::test(&value(attribute), op, wanted));
            });
        }
    }
}
