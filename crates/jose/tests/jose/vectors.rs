//! Published vectors: RFC 7515 appendices A.2 and A.3, RFC 7638 section 3.1, RFC 8037 appendices A.3 and A.4.

use regrant_jose::{Algorithm, JsonFault, Jwk, Part, Typ, Unverified, VerifyError, VerifyingKey};

const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

const RSA_A2: &str = r#"{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}"#;
const RSA_A2_SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

const EC_A3: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
const EC_A3_SIGNATURE: &str = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

const ED25519: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fn jwk(json: &str) -> Jwk {
    serde_json::from_str(json).unwrap()
}

#[test]
fn the_rs256_token_of_rfc_7515_a_2_verifies() {
    let token = format!("eyJhbGciOiJSUzI1NiJ9.{PAYLOAD}.{RSA_A2_SIGNATURE}");
    let key = VerifyingKey::from_jwk_for(&jwk(RSA_A2), Algorithm::Rs256).unwrap();
    let verified = Unverified::parse(&token).unwrap().verify(Typ::JwtOrAbsent, &[key]).unwrap();
    assert_eq!(verified.header.algorithm, Algorithm::Rs256);
    assert_eq!(verified.claims["iss"], "joe");
    assert_eq!(verified.claims["exp"], 1_300_819_380);
}

#[test]
fn the_es256_token_of_rfc_7515_a_3_verifies() {
    let token = format!("eyJhbGciOiJFUzI1NiJ9.{PAYLOAD}.{EC_A3_SIGNATURE}");
    let key = VerifyingKey::from_jwk(&jwk(EC_A3)).unwrap();
    let verified = Unverified::parse(&token).unwrap().verify(Typ::JwtOrAbsent, &[key]).unwrap();
    assert_eq!(verified.claims["http://example.com/is_root"], true);
}

/// Its payload is a sentence, not an object, so a reader of tokens still refuses it: after the signature, not for it.
#[test]
fn the_eddsa_signature_of_rfc_8037_a_4_holds() {
    let signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let keys = [VerifyingKey::from_jwk(&jwk(ED25519)).unwrap()];
    let read = |token: &str| Unverified::parse(token).unwrap().verify(Typ::JwtOrAbsent, &keys).unwrap_err();
    assert_eq!(read(&format!("{signed}.{signature}")), VerifyError::BadJson(Part::Payload, JsonFault::Syntax));
    let forged = signature.replace("hgyY", "hgyZ");
    assert_eq!(read(&format!("{signed}.{forged}")), VerifyError::BadSignature);
}

#[test]
fn the_thumbprint_is_that_of_rfc_7638_3_1() {
    let key = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;
    assert_eq!(jwk(key).thumbprint().unwrap(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

#[test]
fn the_thumbprint_of_an_okp_key_is_that_of_rfc_8037_a_3() {
    assert_eq!(jwk(ED25519).thumbprint().unwrap(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}
