//! A link as a QR code (ISO/IEC 18004): for the page that asks for a device's code, which a phone can go on with.

use qrcodegen::{QrCode, QrCodeEcc};
use serde::Serialize;

/// The margin that readers need, in modules: ISO/IEC 18004 section 6.3.8.
const QUIET: i32 = 4;

/// A QR code for a page: always dark on light, for readers want it so whatever the colours of the page.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Qr<'a> {
    /// Width and height in modules, the margin included.
    pub size: i32,
    /// The dark modules, as the path of an SVG.
    pub path: &'a str,
    /// What it says.
    pub text: &'a str,
}

/// Size and path; `None` if the text is too long for a code.
pub(crate) fn drawn(text: &str) -> Option<(i32, String)> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let mut path = String::new();
    for y in 0..code.size() {
        let mut x = 0;
        while x < code.size() {
            let run = (x..code.size()).take_while(|x| code.get_module(*x, y)).count();
            let run = i32::try_from(run).ok()?;
            if run > 0 {
                path.push_str(&format!("M{} {}h{run}v1h-{run}z", x + QUIET, y + QUIET));
            }
            x += run + 1;
        }
    }
    Some((code.size() + 2 * QUIET, path))
}

/// The same for a terminal: two modules in each character. `None` if the text is too long for a code.
#[must_use]
pub fn terminal(text: &str) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let (from, to) = (-QUIET / 2, code.size() + QUIET / 2);
    let mut lines = String::new();
    let mut y = from;
    while y < to {
        // Light is drawn, for most terminals are dark; the colours are said, for some are not.
        lines.push_str("\u{1b}[38;5;231;48;5;16m");
        for x in from..to {
            lines.push(match (code.get_module(x, y), code.get_module(x, y + 1)) {
                (false, false) => '█',
                (false, true) => '▀',
                (true, false) => '▄',
                (true, true) => ' ',
            });
        }
        lines.push_str("\u{1b}[0m\n");
        y += 2;
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_square_and_has_its_margin() {
        let (size, path) = drawn("https://id.example/device?user_code=BCDF-GHJK").expect("a code");
        assert!(size >= 21 + 8 && path.starts_with("M4 4h7v1h-7z"), "the corner that readers look for: {path:.40}");
        assert_eq!(drawn(&"x".repeat(3000)), None);
        let shown = terminal("https://id.example/device").expect("a code");
        let widths: Vec<usize> =
            shown.lines().map(|line| line.chars().filter(|c| "█▀▄ ".contains(*c)).count()).collect();
        assert!(widths.windows(2).all(|pair| pair[0] == pair[1]) && widths[0] > 21, "{widths:?}");
    }
}
