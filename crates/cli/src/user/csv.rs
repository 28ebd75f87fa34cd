//! Lines, and records of CSV (RFC 4180), of bounded length: a field in quotes may hold commas, doubled quotes and line breaks.

use std::io::BufRead;

/// What was taken from a file.
pub(super) struct Taken {
    /// Without its line break; or what is wrong with it.
    pub(super) text: Result<Vec<u8>, String>,
    /// How many bytes it was.
    pub(super) bytes: u64,
}

/// The next line; `None` at the end. The number is how many lines it took.
pub(super) fn line(source: &mut impl BufRead, most: usize) -> std::io::Result<(Option<Taken>, u64)> {
    take(source, most, Quotes::Text)
}

/// The next record of CSV: it ends at a line break outside quotes.
pub(super) fn record(source: &mut impl BufRead, most: usize) -> std::io::Result<(Option<Taken>, u64)> {
    take(source, most, Quotes::Fields)
}

/// Whether a line break within quotes ends the line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    Text,
    Fields,
}

/// What is longer than `most` is read to its line break and dropped: no quote that is never closed swallows the file.
fn take(source: &mut impl BufRead, most: usize, quotes: Quotes) -> std::io::Result<(Option<Taken>, u64)> {
    let (mut text, mut bytes, mut lines, mut is_quoted) = (Vec::new(), 0_u64, 0_u64, false);
    loop {
        let buffer = source.fill_buf()?;
        if buffer.is_empty() {
            let wrong = if is_quoted { Some("a quote in it is never closed") } else { None };
            return Ok(((bytes > 0).then(|| finished(text, bytes, most, wrong)), lines.max(1)));
        }
        let mut used = 0;
        for &byte in buffer {
            used += 1;
            let is_over = text.len() > most;
            match byte {
                b'"' if quotes == Quotes::Fields => is_quoted = !is_quoted,
                b'\n' => {
                    lines += 1;
                    if !is_quoted || is_over {
                        bytes += used as u64;
                        source.consume(used);
                        return Ok((Some(finished(text, bytes, most, None)), lines));
                    }
                }
                _ => {}
            }
            if !is_over {
                text.push(byte);
            }
        }
        bytes += used as u64;
        source.consume(used);
    }
}

fn finished(mut text: Vec<u8>, bytes: u64, most: usize, wrong: Option<&str>) -> Taken {
    if text.len() > most {
        return Taken { text: Err(format!("it is longer than {most} bytes")), bytes };
    }
    if let Some(wrong) = wrong {
        return Taken { text: Err(wrong.to_owned()), bytes };
    }
    if text.last() == Some(&b'\r') {
        text.pop();
    }
    Taken { text: Ok(text), bytes }
}

/// The fields of a record.
pub(super) fn fields(record: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(record).map_err(|_| "it is not UTF-8".to_owned())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut fields, mut field, mut characters) = (Vec::new(), String::new(), text.chars().peekable());
    let mut was_quoted = false;
    loop {
        match characters.next() {
            None => {
                fields.push(field);
                return Ok(fields);
            }
            Some(',') => {
                fields.push(std::mem::take(&mut field));
                was_quoted = false;
            }
            Some('"') if field.is_empty() && !was_quoted => {
                was_quoted = true;
                loop {
                    match characters.next() {
                        Some('"') if characters.next_if_eq(&'"').is_some() => field.push('"'),
                        Some('"') => break,
                        Some(character) => field.push(character),
                        None => return Err("a quote in it is never closed".to_owned()),
                    }
                }
            }
            Some(_) if was_quoted => return Err("a field in quotes goes on after its quotes".to_owned()),
            Some('"') => return Err("there is a quote within a field that has none around it".to_owned()),
            Some(character) => field.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_rfc_4180_writes_them() {
        let read = |text: &str| fields(text.as_bytes());
        let texts = |texts: &[&str]| Ok(texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(read("a,b,,c"), texts(&["a", "b", "", "c"]));
        assert_eq!(read("\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\""), texts(&["a,b", "say \"hi\"", "two\nlines"]));
        assert_eq!(read("\u{feff}a,\"\""), texts(&["a", ""]));
        for bad in ["a\"b", "\"a", "\"a\"b"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_record_may_have_several_lines_and_never_swallows_the_file() {
        let mut source: &[u8] = b"a,\"b\nc\"\r\nd\n\"open\nxxxxxxxxxxxxxxxxxxxxxxxx\nlast";
        let mut next = || {
            let (taken, lines) = record(&mut source, 16).expect("a slice");
            taken.map(|taken| (taken.text.map(|text| String::from_utf8(text).expect("UTF-8")), lines))
        };
        assert_eq!(next(), Some((Ok("a,\"b\nc\"".to_owned()), 2)));
        assert_eq!(next(), Some((Ok("d".to_owned()), 1)));
        assert_eq!(next(), Some((Err("it is longer than 16 bytes".to_owned()), 2)));
        assert_eq!(next(), Some((Ok("last".to_owned()), 1)));
        assert_eq!(next(), None);
    }
}
