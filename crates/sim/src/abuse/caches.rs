//! Keys of everything that the server remembers, each used once: whatever it keeps of strangers must have a limit.

use std::path::Path;

use super::{Options, Report, TOGETHER, panics, wrong};
use crate::connections::resident;
use crate::process::{Dice, Home, Server};
use crate::wire::pipeline::Pipeline;
use crate::wire::{CALLBACK, CHALLENGE, CONFIG, OPERATOR, REGISTRATION};

/// The limits are those of a server that was told nothing: their tables are what is to be filled. Each request comes from another network,
/// as a proxy says that the server trusts.
fn home(directory: &Path) -> Home {
    let home = Home::make_with(directory, &format!("{CONFIG}{OPERATOR}{REGISTRATION}[limits]\n"));
    let text = std::fs::read_to_string(home.config_file()).expect("the configuration");
    std::fs::write(home.config_file(), format!("trusted_proxies = [\"127.0.0.1\"]\n{text}")).expect("written");
    home
}

/// A request that no other is like.
fn request(host: &str, dice: &mut Dice) -> Vec<u8> {
    let mut fresh = || format!("{:016x}", dice.next());
    let (key, second) = (fresh(), fresh());
    let network =
        |bits: u64| format!("2001:{:x}:{:x}:{:x}::1", bits & 0xffff, bits >> 16 & 0xffff, bits >> 32 & 0xffff);
    let from = network(dice.next());
    let authorize = format!(
        "/oauth2/authorize?response_type=code&client_id=phone&redirect_uri={CALLBACK}&scope=read&code_challenge={CHALLENGE}&code_challenge_method=S256"
    );
    let header = |part: &str| format!("{{\"alg\":\"ES256\",\"kid\":\"{part}\"}}");
    let jwt = |part: &str| {
        let claims = format!("{{\"iss\":\"web\",\"sub\":\"web\",\"jti\":\"{part}\",\"exp\":1800000000}}");
        let parts = [header(part).as_bytes(), claims.as_bytes(), &[0; 64]].map(regrant_jose::base64url::encode);
        parts.join(".")
    };
    let forged = |prefix: &str, length: usize| {
        let bytes: Vec<u8> = key.bytes().chain(second.bytes()).cycle().take(length).collect();
        regrant_core::codec::encode(prefix, &bytes)
    };
    let (line, headers, body) = match dice.below(14) {
        0 => (format!("GET /oauth2/authorize?client_id={key}"), String::new(), String::new()),
        1 => (format!("GET {authorize}&state={key}&nonce={second}"), String::new(), String::new()),
        2 => (format!("GET {authorize}&ui_locales=x-{key}"), format!("accept-language: q-{second}\r\n"), String::new()),
        3 => (format!("GET {authorize}"), format!("cookie: __Host-session={key}; session={second}\r\n"), String::new()),
        4 => (format!("GET {authorize}&request_uri=urn:x:{key}"), String::new(), String::new()),
        5 => (
            "POST /oauth2/token".to_owned(),
            String::new(),
            format!("grant_type=client_credentials&client_id={key}&client_secret={second}"),
        ),
        6 => (
            "POST /oauth2/token".to_owned(),
            String::new(),
            format!("grant_type=refresh_token&client_id=phone&refresh_token={}", forged("rgr_", 76)),
        ),
        7 => (
            "POST /oauth2/token".to_owned(),
            String::new(),
            format!(
                "grant_type=client_credentials&client_id=web&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_assertion={}",
                jwt(&key)
            ),
        ),
        8 => (
            "POST /oauth2/token".to_owned(),
            format!("idempotency-key: {key}\r\n"),
            format!("grant_type=refresh_token&client_id=phone&refresh_token={key}"),
        ),
        9 => ("POST /device".to_owned(), String::new(), format!("user_code={key}")),
        10 => ("GET /oauth2/userinfo".to_owned(), format!("authorization: Bearer {}\r\n", jwt(&second)), String::new()),
        11 => (format!("GET /oauth2/logout?id_token_hint={}", jwt(&key)), String::new(), String::new()),
        12 => (format!("GET /{key}/{second}"), String::new(), String::new()),
        _ => (
            "POST /oauth2/token".to_owned(),
            format!("dpop: {}\r\n", jwt(&second)),
            format!("grant_type=authorization_code&client_id=phone&code={}", forged("rgc_", 60)),
        ),
    };
    let media = if body.is_empty() { "" } else { "content-type: application/x-www-form-urlencoded\r\n" };
    format!(
        "{line} HTTP/1.1\r\nhost: {host}\r\nx-forwarded-for: {from}\r\n{headers}{media}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

pub(super) async fn fill(report: &mut Report, options: Options, directory: &Path, progress: &(dyn Fn(u64) + Sync)) {
    if options.distinct == 0 {
        return;
    }
    let home = home(directory);
    let server = Server::start(&home);
    let mut pipeline = Pipeline::to(server.base());
    let mut dice = Dice::new(options.seed);
    let mut sent = 0;
    while sent < options.distinct {
        let requests: Vec<Vec<u8>> = (0..TOGETHER).map(|_| request(pipeline.address(), &mut dice)).collect();
        let came = pipeline.ask(&requests).await;
        for (request, answer) in requests.iter().zip(&came.answers) {
            *report.keys.answers.entry(answer.status).or_insert(0) += 1;
            if let Some(why) = wrong(answer) {
                report.keys.tell(request, why);
            }
        }
        if came.answers.len() < requests.len() {
            report.keys.tell(&requests[came.answers.len()], "no answer");
        }
        let before = sent;
        sent += TOGETHER;
        if before < options.distinct / 10 && sent >= options.distinct / 10 {
            report.resident[0] = resident(server.pid());
        }
        if sent.is_multiple_of(TOGETHER * 100) {
            progress(sent);
        }
    }
    report.resident[1] = resident(server.pid());
    report.panics += panics(&server.stop());
}
