//! Tokens: who may write, and how secrets are kept.

use std::fmt;
use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use jiff::Timestamp;
use rand::RngCore as _;
use rand::distr::{Alphanumeric, SampleString as _};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

/// Begins every secret that is made here, so that one that leaked can be found by its form.
const PREFIX: &str = "smt_";
/// 43 letters and digits carry 256 bits.
const LENGTH: usize = 43;
const SHA256: &str = "sha256:";

/// A token as it is stored; it does not hold the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// Never given twice.
    pub id: i64,
    /// The name, unique among those that are not revoked.
    pub name: Arc<str>,
    /// What a secret is compared with.
    pub hash: SecretHash,
    /// What it may do, in words.
    pub rights: Vec<String>,
    /// The only project in which it may; `None`: all.
    pub project: Option<Arc<str>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to the minute or so.
    pub last_used: Option<Timestamp>,
    /// From then on it is not valid.
    pub expires_at: Option<Timestamp>,
    /// Since then it is not valid.
    pub revoked_at: Option<Timestamp>,
}

impl TokenRow {
    /// Whether it holds at this time.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// A token to be stored.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// The name, which no token that is not revoked has.
    pub name: String,
    /// What its secret will be compared with.
    pub hash: SecretHash,
    /// What it may do, in words.
    pub rights: Vec<String>,
    /// The only project in which it may; `None`: all.
    pub project: Option<String>,
    /// When it is made.
    pub now: Timestamp,
    /// From when on it is not valid.
    pub expires_at: Option<Timestamp>,
}

/// A secret that was made here; it is shown once and then only its hash is known.
pub struct Secret(String);

impl Secret {
    /// A new secret of 256 random bits, as `smt_` and 43 letters and digits.
    pub fn generate() -> Self {
        let mut text = PREFIX.to_owned();
        // The generator of the thread is a cryptographic one, seeded by the system.
        Alphanumeric.append_string(&mut rand::rng(), &mut text, LENGTH);
        Self(text)
    }

    /// The secret itself, for the one who is to have it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of_random(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What is stored of a secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SecretHash(Arc<str>);

/// A password that cannot be hashed.
#[derive(Debug, thiserror::Error)]
#[error("hashing a password: {0}")]
pub struct HashError(argon2::password_hash::Error);

impl SecretHash {
    /// The hash of a secret of 256 random bits. Nobody can try them all, so one round of SHA-256
    /// is enough, and no salt is needed.
    pub fn of_random(secret: &str) -> Self {
        let mut text = SHA256.to_owned();
        for byte in Sha256::digest(secret.as_bytes()) {
            use fmt::Write as _;
            let _ = write!(text, "{byte:02x}");
        }
        Self(text.into())
    }

    /// The hash of a secret that a person chose, by Argon2id (RFC 9106) with a salt of its own and
    /// the parameters that OWASP names: 19 MiB, two passes. It takes some 30 ms.
    ///
    /// # Errors
    /// [`HashError`] for a password longer than 4 GiB.
    pub fn of_password(password: &str) -> Result<Self, HashError> {
        let mut salt = [0; 16];
        rand::rng().fill_bytes(&mut salt);
        let salt = SaltString::encode_b64(&salt).map_err(HashError)?;
        let hash = argon2()
            .hash_password(password.as_bytes(), &salt)
            .map_err(HashError)?;
        Ok(Self(hash.to_string().into()))
    }

    /// As it stands in the store.
    pub(crate) fn from_stored(text: &str) -> Self {
        Self(text.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is that of a password: comparing takes long then.
    pub fn is_slow(&self) -> bool {
        !self.0.starts_with(SHA256)
    }

    /// Whether this is the secret. The time that it takes says nothing of how much is right.
    pub fn matches(&self, secret: &str) -> bool {
        if self.is_slow() {
            return PasswordHash::new(&self.0)
                .is_ok_and(|hash| argon2().verify_password(secret.as_bytes(), &hash).is_ok());
        }
        let given = Self::of_random(secret);
        given.0.as_bytes().ct_eq(self.0.as_bytes()).into()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(..)")
    }
}

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_hash_and_another_is_not() {
        let (secret, other) = (Secret::generate(), Secret::generate());
        assert!(secret.hash().matches(secret.reveal()));
        assert!(!secret.hash().matches(other.reveal()));
        assert!(!secret.hash().matches(""));
        assert!(!secret.hash().is_slow());
        assert!(!secret.hash().as_str().contains(secret.reveal()));
    }

    #[test]
    fn a_secret_has_256_bits_in_letters_and_digits() {
        let secret = Secret::generate();
        let random = secret.reveal().strip_prefix("smt_").unwrap();
        assert!((random.len() as f64) * 62_f64.log2() >= 256.0);
        assert!(random.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }

    #[test]
    fn a_password_is_hashed_with_a_salt_of_its_own() {
        let one = SecretHash::of_password("letmein").unwrap();
        let two = SecretHash::of_password("letmein").unwrap();
        assert_ne!(one.as_str(), two.as_str());
        assert!(one.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(one.is_slow() && one.matches("letmein") && two.matches("letmein"));
        assert!(!one.matches("letmeout"));
    }

    #[test]
    fn nothing_shows_a_secret() {
        let secret = Secret::generate();
        let shown = format!("{secret:?} {:?}", secret.hash());
        assert_eq!(shown, "Secret(..) SecretHash(..)");
    }

    #[test]
    fn a_damaged_hash_matches_nothing() {
        for stored in ["", "sha256:", "$argon2id$", "text"] {
            assert!(!SecretHash::from_stored(stored).matches(""), "{stored}");
        }
    }
}
