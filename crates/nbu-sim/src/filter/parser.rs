//! Makes an expression of the tokens and holds it against the resource's attributes.

use std::borrow::Cow;

use jiff::{Span, SpanRelativeTo, Timestamp};

use super::lexer::{Token, tokens};
use super::{Expr, FilterError, Kind, Op, Spec, Value};

/// Deepest nesting: a filter is small, and a hostile one must not exhaust the stack.
const DEEPEST: usize = 64;

/// Parses a filter. `spec` says what is known of an attribute, `None` for one that cannot be asked for.
pub(crate) fn parse<A: Copy>(
    text: &str,
    spec: &dyn Fn(&str) -> Option<Spec<A>>,
) -> Result<Expr<A>, FilterError> {
    let mut parser = Parser { tokens: tokens(text)?, next: 0, depth: 0, spec };
    let expr = parser.any()?;
    match parser.peek() {
        None => Ok(expr),
        Some(token) => Err(FilterError(format!("unexpected {token:?} after the end"))),
    }
}

struct Parser<'s, A> {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
    spec: &'s dyn Fn(&str) -> Option<Spec<A>>,
}

impl<A: Copy> Parser<'_, A> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    fn take(&mut self) -> Result<Token, FilterError> {
        let token = self.tokens.get(self.next).cloned();
        self.next += 1;
        token.ok_or_else(|| FilterError("the filter ends too early".to_owned()))
    }

    fn expect(&mut self, wanted: &Token) -> Result<(), FilterError> {
        let token = self.take()?;
        if token == *wanted {
            return Ok(());
        }
        Err(FilterError(format!("{wanted:?} expected, {token:?} found")))
    }

    fn word_is(&mut self, wanted: &str) -> bool {
        let is = matches!(self.peek(), Some(Token::Word(word)) if word == wanted);
        self.next += usize::from(is);
        is
    }

    /// `or`, which binds least.
    fn any(&mut self) -> Result<Expr<A>, FilterError> {
        let mut expr = self.all()?;
        while self.word_is("or") {
            expr = Expr::Or(Box::new(expr), Box::new(self.all()?));
        }
        Ok(expr)
    }

    /// `and`.
    fn all(&mut self) -> Result<Expr<A>, FilterError> {
        let mut expr = self.one()?;
        while self.word_is("and") {
            expr = Expr::And(Box::new(expr), Box::new(self.one()?));
        }
        Ok(expr)
    }

    /// `not`, a parenthesis, or a test.
    fn one(&mut self) -> Result<Expr<A>, FilterError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(FilterError("the filter is nested too deeply".to_owned()));
        }
        let expr = if self.word_is("not") {
            Expr::Not(Box::new(self.one()?))
        } else if self.peek() == Some(&Token::Open) {
            self.next += 1;
            let expr = self.any()?;
            self.expect(&Token::Close)?;
            expr
        } else {
            self.test()?
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn test(&mut self) -> Result<Expr<A>, FilterError> {
        let Token::Word(word) = self.take()? else {
            return Err(FilterError("an attribute expected".to_owned()));
        };
        let function = Op::from_word(&word).filter(|op| op.is_function());
        if let Some(op) = function.filter(|_| self.peek() == Some(&Token::Open)) {
            self.next += 1;
            let Token::Word(name) = self.take()? else {
                return Err(FilterError("an attribute expected".to_owned()));
            };
            self.expect(&Token::Comma)?;
            let literal = self.take()?;
            self.expect(&Token::Close)?;
            return self.build(&name, op, &literal);
        }
        let Token::Word(operator) = self.take()? else {
            return Err(FilterError(format!("an operator expected after {word}")));
        };
        let op = Op::from_word(&operator).filter(|op| !op.is_function());
        let op = op.ok_or_else(|| FilterError(format!("unknown operator {operator}")))?;
        let literal = self.take()?;
        self.build(&word, op, &literal)
    }

    fn build(&self, name: &str, op: Op, literal: &Token) -> Result<Expr<A>, FilterError> {
        let Some(spec) = (self.spec)(name) else {
            return Err(FilterError(format!("{name} cannot be used in a filter")));
        };
        if !spec.ops.allows(op) {
            return Err(FilterError(format!("{name} does not allow this operator")));
        }
        let value = value(&spec.kind, literal)
            .ok_or_else(|| FilterError(format!("not a value of {name}: {literal:?}")))?;
        Ok(Expr::Test(spec.attribute, op, value))
    }
}

/// The literal as a value of the kind; `None` where it is none.
fn value(kind: &Kind, literal: &Token) -> Option<Value<'static>> {
    match (kind, literal) {
        (Kind::Integer, Token::Word(word)) => word.parse().ok().map(Value::Integer),
        (Kind::Float, Token::Word(word)) => {
            let number: f64 = word.parse().ok()?;
            number.is_finite().then_some(Value::Float(number))
        }
        (Kind::DateTime, Token::Word(word)) => {
            let time: Timestamp = word.parse().ok()?;
            Some(Value::Integer(time.as_millisecond()))
        }
        (Kind::Duration, Token::Word(word) | Token::Quoted(word)) if word.starts_with('P') => {
            let span: Span = word.parse().ok()?;
            let span = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
            i64::try_from(span.as_millis()).ok().map(Value::Integer)
        }
        (Kind::Text, Token::Quoted(text)) => Some(Value::Text(Cow::Owned(text.clone()))),
        (Kind::Enum(names), Token::Quoted(text)) => {
            let name = names.iter().find(|name| *name == text)?;
            Some(Value::Text(Cow::Borrowed(name)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ops;
    use super::*;

    fn spec(name: &str) -> Option<Spec<char>> {
        let (attribute, ops, kind) = match name {
            "status" => ('s', Ops::ORDER, Kind::Integer),
            "endTime" => ('e', Ops::ORDER, Kind::DateTime),
            "clientName" => ('c', Ops::TEXT, Kind::Text),
            "policyName" => ('p', Ops::PART, Kind::Text),
            "state" => ('t', Ops::EQ_NE, Kind::Enum(vec!["DONE", "ACTIVE"])),
            "elapsedTime" => ('d', Ops::ORDER, Kind::Duration),
            _ => return None,
        };
        Some(Spec { attribute, ops, kind })
    }

    fn holds(text: &str) -> bool {
        let expr = parse(text, &spec).unwrap();
        expr.matches(&|attribute| match attribute {
            's' => Value::Integer(84),
            'e' => Value::Integer(1_704_067_200_000),
            'c' => Value::Text("db01.example.com".into()),
            'p' => Value::Text("it's".into()),
            't' => Value::Text("DONE".into()),
            _ => Value::Integer(346_000),
        })
    }

    #[test]
    fn documented_filters_are_understood() {
        assert!(holds("status ge 1"));
        assert!(holds("state eq 'DONE'"));
        assert!(!holds("state ne 'DONE'"));
        assert!(holds(
            "(endTime ge 2024-01-01T00:00:00.000Z or endTime eq 1970-01-01T00:00:00.000Z)"
        ));
        assert!(holds("endTime lt 2024-01-01T00:00:00.001Z and status eq 84"));
        assert!(holds("contains(clientName,'example') and startswith(clientName, 'db')"));
        assert!(holds("endswith(policyName,'''s')"));
        assert!(holds("not (status eq 0) and not state eq 'ACTIVE'"));
        assert!(holds("elapsedTime eq PT5M46S and elapsedTime lt 'P1DT2H'"));
    }

    #[test]
    fn and_binds_more_than_or() {
        assert!(holds("status eq 84 or status eq 1 and status eq 2"));
        assert!(!holds("(status eq 84 or status eq 1) and status eq 2"));
    }

    #[test]
    fn undocumented_filters_are_refused() {
        for text in [
            "",
            "status",
            "status eq",
            "status eq 'x'",
            "status like 1",
            "endTime ge '2024-01-01T00:00:00.000Z'",
            "endTime ge 2024",
            "childCount eq 1",
            "policyName eq 'x'",
            "state eq 'NEW'",
            "state eq DONE",
            "state lt 'DONE'",
            "clientName eq 'x",
            "(status eq 1",
            "status eq 1)",
            "status eq 1 status eq 2",
            "contains(clientName 'x')",
            "clientName contains 'x'",
            "status eq 1 && status eq 2",
        ] {
            assert!(parse(text, &spec).is_err(), "{text:?} was accepted");
        }
        let deep = format!("{}status eq 1{}", "(".repeat(500), ")".repeat(500));
        assert!(parse(&deep, &spec).is_err());
    }
}
