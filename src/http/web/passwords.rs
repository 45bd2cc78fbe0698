//! Passwords of basic authentication: bcrypt, at most one at a time, and a memory of those accepted.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use ring::hmac;
use ring::rand::SystemRandom;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use super::turns::Turns;

/// Accepted passwords that are remembered. bcrypt takes 72 bytes, so one hash accepts many longer ones.
const MAX_ACCEPTED: usize = 256;

/// The rest of a hash of no known password, behind its cost.
const DUMMY: &str = "$abcdefghijklmnopqrstuu5yW0vKX3hTrsTJ5yV9kWZ0YkV1nXQ8Ga";

/// A cost whose check takes about a second; one more doubles it.
const COSTLY: u32 = 14;

/// The cost of each check where there is no user.
const DEFAULT_COST: u32 = 10;

/// The key of this process; none where the system gives no random bytes.
static KEY: LazyLock<Option<hmac::Key>> =
    LazyLock::new(|| hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok());

/// A keyed hash of a secret. It tells nothing to those who see it.
#[derive(Clone)]
struct Tag(hmac::Tag);

impl Tag {
    /// Hashes these parts with their lengths: no two lists of parts have the same bytes.
    fn new(parts: &[&[u8]]) -> Option<Self> {
        let mut context = hmac::Context::with_key(KEY.as_ref()?);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        Some(Self(context.sign()))
    }

    /// Compares in a time that does not depend on the place of the first difference; what is compared are
    /// keyed hashes, of which nobody can choose one.
    fn is(&self, other: &Self) -> bool {
        let pairs = self.0.as_ref().iter().zip(other.0.as_ref());
        pairs.fold(0, |differences, (one, other)| differences | (one ^ other)) == 0
    }
}

/// A bearer token, of which the keyed hash is kept.
#[derive(Clone)]
pub(crate) struct Token(Option<Tag>);

impl Token {
    pub(crate) fn new(token: &str) -> Self {
        Self(Tag::new(&[token.as_bytes()]))
    }

    /// Returns true if this is the token, in a time that does not depend on how much of it is right.
    pub(super) fn is(&self, presented: &str) -> bool {
        let presented = Tag::new(&[presented.as_bytes()]);
        self.0.as_ref().zip(presented.as_ref()).is_some_and(|(token, it)| token.is(it))
    }
}

/// Users by name, with the bcrypt hashes of their passwords.
#[derive(Clone, Default)]
pub(crate) struct Users {
    hashes: BTreeMap<String, SecretString>,
    cost: u32,
}

impl Users {
    /// Adds a user.
    ///
    /// # Errors
    ///
    /// If this is no bcrypt hash.
    pub(crate) fn add(&mut self, name: &str, hash: &str) -> Result<(), &'static str> {
        const EXPECTED: &str =
            "expected a bcrypt hash such as $2y$10$… (htpasswd -nBC 10 \"\" makes one)";
        let parts: bcrypt::HashParts = hash.parse().map_err(|_| EXPECTED)?;
        let cost = parts.get_cost();
        // What can be parsed may still be of the wrong length or alphabet.
        if !(4..=31).contains(&cost) || hash.len() != 60 {
            return Err(EXPECTED);
        }
        self.hashes.insert(name.to_owned(), SecretString::from(hash.to_owned()));
        self.cost = self.cost.max(cost);
        Ok(())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.hashes.contains_key(name)
    }

    /// Returns true if a check takes longer than a second or so.
    pub(crate) fn is_costly(&self) -> bool {
        self.cost > COSTLY
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Returns the hash of a user, and whether there is that user. An unknown one costs as much time.
    fn hash(&self, name: &str) -> (SecretString, bool) {
        if let Some(hash) = self.hashes.get(name) {
            return (hash.clone(), true);
        }
        let cost = if self.is_empty() { DEFAULT_COST } else { self.cost };
        (SecretString::from(format!("$2b${cost:02}{DUMMY}")), false)
    }
}

/// Results of the check of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Accepted,
    Refused,
    /// Too many passwords of the address wait for their check.
    Busy,
}

/// The check of passwords, for all listeners.
#[derive(Default)]
pub(super) struct Passwords {
    turns: Arc<Turns>,
    accepted: Mutex<VecDeque<Tag>>,
}

impl Passwords {
    /// Checks the password of a user, for a client at `address`.
    pub(super) async fn check(
        &self,
        users: &Users,
        address: IpAddr,
        name: &str,
        password: &[u8],
    ) -> Verdict {
        let (hash, is_known) = users.hash(name);
        // With the hash: a password that was changed is not remembered.
        let tag = Tag::new(&[name.as_bytes(), hash.expose_secret().as_bytes(), password]);
        if is_known && self.is_accepted(tag.as_ref()) {
            return Verdict::Accepted;
        }
        let Some(turn) = self.turns.take(address).await else { return Verdict::Busy };
        // It may have been accepted while this one waited.
        if is_known && self.is_accepted(tag.as_ref()) {
            return Verdict::Accepted;
        }
        let password = SecretSlice::from(password.to_vec());
        let check = tokio::task::spawn_blocking(move || {
            // The turn ends with the work, even if nobody waits for it any more.
            let _turn = turn;
            bcrypt::verify(password.expose_secret(), hash.expose_secret()).unwrap_or(false)
        });
        if !check.await.unwrap_or(false) || !is_known {
            return Verdict::Refused;
        }
        if let Some(tag) = tag {
            self.accept(tag);
        }
        Verdict::Accepted
    }

    /// Forgets what was accepted.
    pub(super) fn forget(&self) {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn is_accepted(&self, tag: Option<&Tag>) -> bool {
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        tag.is_some_and(|tag| accepted.iter().any(|other| tag.is(other)))
    }

    fn accept(&self, tag: Tag) {
        let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        accepted.push_front(tag);
        accepted.truncate(MAX_ACCEPTED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn users(pairs: &[(&str, &str)]) -> Users {
        let mut users = Users::default();
        for (name, password) in pairs {
            users.add(name, &bcrypt::hash(password, 4).unwrap()).unwrap();
        }
        users
    }

    #[tokio::test]
    async fn accepted_password_alone_is_remembered() {
        let (passwords, users) = (Passwords::default(), users(&[("prometheus", "right")]));
        let check = |name: &'static str, password: &'static str| {
            passwords.check(&users, ADDRESS, name, password.as_bytes())
        };
        assert_eq!(check("prometheus", "wrong").await, Verdict::Refused);
        assert_eq!(check("nobody", "right").await, Verdict::Refused);
        assert_eq!(passwords.accepted.lock().unwrap().len(), 0);
        for _ in 0..3 {
            assert_eq!(check("prometheus", "right").await, Verdict::Accepted);
        }
        assert_eq!(passwords.accepted.lock().unwrap().len(), 1);
        passwords.forget();
        assert_eq!(check("prometheus", "right").await, Verdict::Accepted);
    }

    #[tokio::test]
    async fn changed_hash_refuses_a_remembered_password() {
        let passwords = Passwords::default();
        let before = users(&[("prometheus", "old")]);
        assert_eq!(
            passwords.check(&before, ADDRESS, "prometheus", b"old").await,
            Verdict::Accepted
        );
        let after = users(&[("prometheus", "new")]);
        assert_eq!(passwords.check(&after, ADDRESS, "prometheus", b"old").await, Verdict::Refused);
    }

    #[test]
    fn parts_of_a_tag_do_not_run_together() {
        // What plain concatenation made of user, hash and password was the same for these.
        let tag = |parts: &[&[u8]]| Tag::new(parts).unwrap();
        assert!(tag(&[b"a", b"bc"]).is(&tag(&[b"a", b"bc"])));
        assert!(!tag(&[b"ab", b"c"]).is(&tag(&[b"a", b"bc"])));
        assert!(!tag(&[b"a", b"", b"b"]).is(&tag(&[b"a", b"b"])));
    }

    #[test]
    fn unknown_user_costs_the_dearest_check() {
        let mut users = users(&[("a", "x")]);
        users.add("b", &bcrypt::hash("x", 5).unwrap()).unwrap();
        let (hash, is_known) = users.hash("nobody");
        assert!(!is_known);
        let parts: bcrypt::HashParts = hash.expose_secret().parse().unwrap();
        assert_eq!(parts.get_cost(), 5);
        // It is computed, not refused for its form.
        assert!(bcrypt::verify("x", hash.expose_secret()).is_ok());
    }

    #[test]
    fn text_that_is_no_bcrypt_hash_is_refused() {
        let good = bcrypt::hash("x", 4).unwrap();
        assert!(Users::default().add("a", &good).is_ok());
        for bad in [
            "",
            "right",
            "$2y$10$short",
            "{SHA}abc",
            &good[..59],
            "$2y$03$abcdefghijklmnopqrstuu5yW0vKX3hTrsTJ5yV9kWZ0YkV1nXQ8Ga",
        ] {
            assert!(Users::default().add("a", bad).is_err(), "{bad}");
        }
    }
}
