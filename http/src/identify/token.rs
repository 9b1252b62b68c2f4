//! Redirect identity tokens (`hs_t`): who followed a link, sealed so that only this installation can read it.
//!
//! Pure: the instant and the random bytes are arguments. A token is base64url without padding of `iv || ciphertext ||
//! tag` under AES-256-GCM (TK-01, TK-02), its plaintext compact JSON (TK-03).

use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce,
    aead::{Aead, AeadCore, array::typenum::Unsigned},
};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// How long a token is good for after it was minted, in seconds (TK-07).
pub const LIFE_SECONDS: i64 = 3600;

/// Bytes of the initialization vector.
pub const IV_LEN: usize = 12;

const TAG_LEN: usize = <Aes256Gcm as AeadCore>::TagSize::USIZE;

/// The one thing a token allows: folding the caller's own session into the subject (TK-06).
const SCOPE: &str = "anon-absorb";

/// Minted without padding, read with or without it (TK-11).
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Canonical key of the subject when the token was minted (TK-04).
    pub distinct_id: String,
    /// Where the link was: `email:<sendId>`, `<source>:<linkId>`, or nothing for tokens of old minters (TK-05, TK-10).
    pub source: String,
    /// The mail the link stood in (TK-08).
    pub email_send_id: Option<String>,
}

/// The plaintext, members in the order of TK-03.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Plaintext<'a> {
    distinct_id: &'a str,
    src: &'a str,
    scope: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_send_id: Option<&'a str>,
    exp: i64,
}

/// The keys of an installation: the first one mints, all of them read (TK-21).
#[derive(Clone)]
pub struct TokenKeys {
    current: Aes256Gcm,
    previous: Vec<Aes256Gcm>,
}

impl std::fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKeys")
    }
}

fn key(secret: &[u8]) -> Aes256Gcm {
    Aes256Gcm::new(&Sha256::digest(secret))
}

impl TokenKeys {
    /// Keys derived from the installation's secret and from those it replaced.
    pub fn new<'s>(secret: &[u8], previous: impl IntoIterator<Item = &'s [u8]>) -> Self {
        Self { current: key(secret), previous: previous.into_iter().map(key).collect() }
    }

    /// A token that is good for [`LIFE_SECONDS`] from `now`, in unix seconds. An `iv` must never be used twice. `None`
    /// if the claims are longer than the cipher takes, which is beyond any memory.
    pub fn mint(&self, claims: &Claims, now: i64, iv: [u8; IV_LEN]) -> Option<String> {
        let plaintext = Plaintext {
            distinct_id: &claims.distinct_id,
            src: &claims.source,
            scope: SCOPE,
            email_send_id: claims.email_send_id.as_deref(),
            exp: now.saturating_add(LIFE_SECONDS),
        };
        let plaintext = serde_json::to_vec(&plaintext).ok()?;
        let sealed = self.current.encrypt(&Nonce::from(iv), plaintext.as_slice()).ok()?;
        Some(BASE64URL.encode([&iv[..], &sealed].concat()))
    }

    /// What a token says, if it is one of ours and good at `now`, in unix seconds (TK-10). Why it is not is nobody's
    /// business.
    pub fn open(&self, token: &str, now: i64) -> Option<Claims> {
        let raw = BASE64URL.decode(token).ok().filter(|raw| raw.len() > IV_LEN + TAG_LEN)?;
        let (iv, sealed) = raw.split_first_chunk::<IV_LEN>()?;
        let keys = std::iter::once(&self.current).chain(&self.previous);
        let plaintext = keys.filter_map(|key| key.decrypt(&Nonce::from(*iv), sealed).ok()).next()?;
        read(&serde_json::from_slice(&plaintext).ok()?, now)
    }
}

/// TK-10, from the payload on.
fn read(payload: &Value, now: i64) -> Option<Claims> {
    let members = payload.as_object()?;
    let text = |name: &str| members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let distinct_id = text("distinctId")?.to_owned();
    let expires = members.get("exp").and_then(Value::as_f64)?;
    // Seconds of this age are exact in a double.
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 seconds")]
    let is_expired = expires < now as f64;
    let is_ours = members.get("scope").is_none_or(|scope| scope == SCOPE);
    if is_expired || !is_ours {
        return None;
    }
    let email_send_id = text("emailSendId").map(str::to_owned);
    let source = text("src").map(str::to_owned);
    let source = source.or_else(|| email_send_id.as_ref().map(|id| format!("email:{id}")));
    Some(Claims { distinct_id, source: source.unwrap_or_default(), email_send_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"vector-secret-0123456789-abcdefghijklmnop";

    fn vectors() -> Value {
        let text = include_str!("../../../tests/vectors/identity/identity-token.json");
        serde_json::from_str(text).unwrap()
    }

    fn from_hex(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn tk_22_every_token_of_the_vectors_is_judged_as_they_say() {
        let vectors = vectors();
        let cases = vectors["cases"].as_array().unwrap();
        assert!(cases.len() > 30);
        for case in cases {
            let keys = TokenKeys::new(case["secret"].as_str().unwrap().as_bytes(), []);
            let opened = keys.open(case["token"].as_str().unwrap(), case["now"].as_i64().unwrap());
            let expected = &case["expect"];
            if expected["valid"] == "either" {
                continue;
            }
            assert_eq!(opened.is_some(), expected["valid"] == true, "{case}");
            if let Some(claims) = opened {
                let body = &expected["body"];
                assert_eq!(claims.distinct_id, body["distinctId"], "{case}");
                assert_eq!(claims.source, body["src"], "{case}");
                assert_eq!(claims.email_send_id.as_deref(), body["emailSendId"].as_str(), "{case}");
            }
        }
    }

    #[test]
    fn tk_01_to_tk_03_minting_is_exact_to_the_bit() {
        let vectors = vectors();
        let mut minted = 0;
        for case in vectors["cases"].as_array().unwrap() {
            let body = &case["expect"]["body"];
            let lasts = case["plaintext"].as_str().is_some_and(|text| text.ends_with("1780003600}"));
            if case["expect"]["valid"] != true || !lasts {
                continue;
            }
            let claims = Claims {
                distinct_id: body["distinctId"].as_str().unwrap().to_owned(),
                source: body["src"].as_str().unwrap().to_owned(),
                email_send_id: body["emailSendId"].as_str().map(str::to_owned),
            };
            let iv = from_hex(case["iv_hex"].as_str().unwrap()).try_into().unwrap();
            let keys = TokenKeys::new(case["secret"].as_str().unwrap().as_bytes(), []);
            let token = keys.mint(&claims, case["now"].as_i64().unwrap(), iv).unwrap();
            assert_eq!(token, case["token"].as_str().unwrap(), "{case}");
            minted += 1;
        }
        assert_eq!(minted, 4);
    }

    #[test]
    fn tk_21_a_replaced_secret_still_reads_and_no_longer_mints() {
        let claims =
            Claims { distinct_id: "u1".to_owned(), source: "link:1".to_owned(), email_send_id: None };
        let old = TokenKeys::new(b"the secret before", []);
        let rotated = TokenKeys::new(SECRET, [&b"the secret before"[..]]);
        let (before, after) =
            (old.mint(&claims, 0, [1; 12]).unwrap(), rotated.mint(&claims, 0, [2; 12]).unwrap());
        assert_eq!(rotated.open(&before, 0), Some(claims.clone()));
        assert_eq!(rotated.open(&after, 0), Some(claims));
        assert_eq!(old.open(&after, 0), None);
    }

    #[test]
    fn tk_07_a_token_is_good_for_an_hour() {
        let claims = Claims { distinct_id: "u1".to_owned(), source: String::new(), email_send_id: None };
        let keys = TokenKeys::new(SECRET, []);
        let token = keys.mint(&claims, 1000, [0; 12]).unwrap();
        assert!(keys.open(&token, 1000 + LIFE_SECONDS).is_some());
        assert!(keys.open(&token, 1001 + LIFE_SECONDS).is_none());
    }

    #[test]
    fn no_byte_of_a_token_can_be_changed() {
        let claims =
            Claims { distinct_id: "u1".to_owned(), source: "link:1".to_owned(), email_send_id: None };
        let keys = TokenKeys::new(SECRET, []);
        let raw = BASE64URL.decode(keys.mint(&claims, 0, [3; 12]).unwrap()).unwrap();
        for at in 0..raw.len() {
            let mut changed = raw.clone();
            changed[at] ^= 1;
            assert_eq!(keys.open(&BASE64URL.encode(changed), 0), None, "byte {at}");
        }
    }
}
