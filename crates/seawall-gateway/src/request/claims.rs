//! What a token says about its bearer: one claim of a JSON Web Token (RFC 7519).
//!
//! Does not know whether the token is genuine: nothing here checks a signature. Invariant: whoever
//! asks has it from somebody who has checked the token.

use data_encoding::BASE64URL_NOPAD;
use seawall_wire::{Fields, name};
use serde_json::Value;

/// Returns a claim of the bearer's token as text, if there is one that is a text or a number.
pub(crate) fn claim(headers: &Fields, name: &str) -> Option<String> {
    let value = headers.get(name::AUTHORIZATION)?.to_str()?;
    let (scheme, token) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut parts = token.trim().split('.');
    let (_head, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    // A head is bounded, and so is what is decoded of it; serde_json bounds the depth.
    let payload = BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?;
    match serde_json::from_slice::<Value>(&payload).ok()?.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(authorization: &str) -> Option<String> {
        let mut headers = Fields::default();
        let value = seawall_wire::Value::new(authorization.as_bytes()).expect("it is a value");
        headers.insert(name::AUTHORIZATION, value);
        claim(&headers, "tier")
    }

    fn token(payload: &str) -> String {
        format!("Bearer e30.{}.c2ln", BASE64URL_NOPAD.encode(payload.as_bytes()))
    }

    #[test]
    fn a_claim_is_a_text_or_a_number() {
        assert_eq!(said(&token(r#"{"tier":"gold"}"#)).as_deref(), Some("gold"));
        assert_eq!(said(&token(r#"{"tier":1}"#)).as_deref(), Some("1"));
        for other in [r#"{"tier":["gold"]}"#, r#"{"tier":null}"#, r#"{"sub":"x"}"#, "[]"] {
            assert_eq!(said(&token(other)), None, "{other}");
        }
    }

    #[test]
    fn what_is_no_token_has_no_claims() {
        let deep = token(&"[".repeat(100_000));
        let basic = token(r#"{"tier":"gold"}"#).replace("Bearer", "Basic");
        for other in ["Bearer", "Bearer ", "Bearer a.b", "Bearer a.b.c.d", "Bearer a.!.c", &deep] {
            assert_eq!(said(other), None, "{}", other.get(..20).unwrap_or(other));
        }
        assert_eq!(said(&basic), None);
        assert_eq!(claim(&Fields::default(), "tier"), None);
    }
}
