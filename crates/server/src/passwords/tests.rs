//! Hashes that other programs made, and what is not taken for one.

use super::memory::Memory;
use super::stored::{BadHash, Stored};

const PASSWORD: &str = "correct horse battery";

/// Made by the reference implementation of Argon2, libcrypt, and Python's hashlib.
const FOREIGN: [(&str, &str); 10] = [
    ("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password"),
    ("$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA", "password"),
    ("$2b$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS", PASSWORD),
    ("$2a$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS", PASSWORD),
    (
        "$2y$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    ),
    (
        "$pbkdf2-sha512$i=1000,l=64$MDEyMzQ1Njc4OWFiY2RlZg$7F/Y1rnWXXurLCfFvAmyjyXtbABhgzBTBNcm//wlnvGBOz7OExlgRFs5qwaY5PzB3/WjR7P4yv/ACDQZpDXIfQ",
        PASSWORD,
    ),
    ("pbkdf2_sha256$1000$saltsaltsalt$GacV8oEzUl3KM0Mwey9yrMcTPKpkL4jXrFpbKB8oOnI=", PASSWORD),
    ("$pbkdf2-sha256$1000$MDEyMzQ1Njc4OWFiY2RlZg$BVALGMmC/K/8ELErc5VgJxyPFApArIZRCQsqjEgZWJ4", PASSWORD),
    ("$pbkdf2$1000$MDEyMzQ1Njc4OWFiY2RlZg$rDjxw4qmzpl4HTyqLNYNsdE5Zi4", PASSWORD),
    ("$scrypt$ln=10,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$xXt6EAFzAOlee5Hgl8R5+kLA6sDARjRcMGtm6fZJsa8", PASSWORD),
];

#[test]
fn a_hash_of_another_program_fits_its_password_and_no_other() {
    // One for all, as in the pool: what one leaves behind changes nothing of the next.
    let mut memory = Memory::default();
    for (text, password) in FOREIGN {
        let stored = Stored::read(text).unwrap_or_else(|bad| panic!("{text}: {bad}"));
        assert!(stored.fits(password.as_bytes(), &mut memory), "{text}");
        for other in ["", "Password", "correct horse batterz", "correct horse battery "] {
            assert!(!stored.fits(other.as_bytes(), &mut memory), "{text} with {other:?}");
        }
        assert_eq!(stored.is_current(), text.starts_with("$argon2id"), "{text}: only ours need not be made anew");
    }
}

#[test]
fn weaker_parameters_than_todays_are_made_anew() {
    for (costs, current) in [("m=19456,t=2,p=1", true), ("m=19455,t=2,p=1", false), ("m=65536,t=1,p=1", false)] {
        let text = format!("$argon2id$v=19${costs}$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc");
        assert_eq!(Stored::read(&text).expect("a hash").is_current(), current, "{costs}");
    }
    let mut memory = Memory::default();
    let ours = super::hash(&zeroize::Zeroizing::new(PASSWORD.to_owned()), &mut memory).expect("a hash");
    let stored = Stored::read(&ours).expect("ours");
    assert!(stored.is_current() && stored.fits(PASSWORD.as_bytes(), &mut memory));
    assert!(Stored::decoy().is_current(), "nobody's costs as much");
    assert!(!Stored::decoy().fits(PASSWORD.as_bytes(), &mut memory));
}

/// Check X6: a hash that costs minutes or gigabytes never reaches the pool.
#[test]
fn a_hash_of_too_great_cost_is_refused_when_it_is_read() {
    let hash = "MDEyMzQ1Njc4OWFiY2RlZg";
    for text in [
        "$2b$31$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS".to_owned(),
        "$2b$15$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS".to_owned(),
        format!("$scrypt$ln=30,r=8,p=1${hash}${hash}"),
        format!("$scrypt$ln=63,r=8,p=1${hash}${hash}"),
        format!("$scrypt$ln=4294967295,r=8,p=1${hash}${hash}"),
        format!("$scrypt$ln=17,r=9,p=1${hash}${hash}"),
        format!("$scrypt$ln=10,r=8,p=4096${hash}${hash}"),
        format!("$scrypt$ln=1,r=4294967295,p=4294967295${hash}${hash}"),
        format!("$argon2id$v=19$m=1048576,t=1,p=1${hash}${hash}"),
        format!("$argon2id$v=19$m=65536,t=4294967295,p=1${hash}${hash}"),
        format!("$argon2id$v=19$m=65536,t=1,p=65${hash}${hash}"),
        format!("$pbkdf2-sha256$i=2000001${hash}${hash}"),
        format!("pbkdf2_sha256$4294967295$saltsalt${hash}"),
    ] {
        let refused = Stored::read(&text);
        assert!(matches!(refused, Err(BadHash::TooCostly(_))), "{text}: {refused:?}");
    }
}

#[test]
fn what_is_no_hash_is_refused() {
    let hash = "MDEyMzQ1Njc4OWFiY2RlZg";
    for text in [
        String::new(),
        PASSWORD.to_owned(),
        "$1$salt$hash".to_owned(),
        "$2x$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS".to_owned(),
        "$2b$4$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS".to_owned(),
        "$2b$03$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS".to_owned(),
        "$2b$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoO".to_owned(),
        "$2b$+4$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS".to_owned(),
        format!("$pbkdf2-md5$i=1000${hash}${hash}"),
        format!("$pbkdf2-sha256$i=0${hash}${hash}"),
        format!("$pbkdf2-sha256$i=1000,l=64${hash}${hash}"),
        format!("$pbkdf2-sha256$i=1000${hash}$!"),
        format!("$argon2id$v=18$m=1024,t=1,p=1${hash}${hash}"),
        format!("$argon2id$v=19$m=1,t=1,p=1${hash}${hash}"),
        format!("$argon2id$v=19$m=1024,t=1,p=1,x=1${hash}${hash}"),
        format!("$scrypt$ln=10,r=0,p=1${hash}${hash}"),
        // A hash of a byte fits every 256th password.
        format!("$scrypt$ln=10,r=8,p=1${hash}$MA"),
        format!("pbkdf2_sha256$1000$a${hash}"),
        format!("$pbkdf2-sha256$i=1000${}${hash}", "A".repeat(600)),
    ] {
        assert!(Stored::read(&text).is_err(), "{text}");
    }
}

/// Check X6: however many passwords are verified, a thread holds one block of 19 MiB, with nothing of a password in it.
#[test]
fn memory_is_taken_once_and_wiped_after_each_use() {
    let mut memory = Memory::default();
    assert_eq!(memory.held(), 0, "nothing before the first");
    let stored = FOREIGN.map(|(text, _)| Stored::read(text).expect("a hash"));
    for stored in stored.iter().chain([&Stored::decoy(), &Stored::decoy()]) {
        stored.fits(PASSWORD.as_bytes(), &mut memory);
        assert!(memory.held() == 0 || memory.held() == super::MEMORY_KIB as usize * 1024, "{stored:?}");
        assert!(memory.is_wiped(), "{stored:?}");
    }
    assert_ne!(memory.held(), 0, "kept for the next");
}
