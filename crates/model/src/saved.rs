//! A search put aside in a file, and taken up again by the same program.
//!
//! | part            | what                                                                                         |
//! |-----------------|----------------------------------------------------------------------------------------------|
//! | head            | the kind of file, the program's hash, the world: another world's or program's is not taken    |
//! | numbers         | how far it is, and how often each thing has happened                                          |
//! | seeds, ratchets | in the order of their numbers, which the states hold                                          |
//! | ways            | from which state each was reached, and how                                                    |
//! | fingerprints    | of the states that were seen, in the order of the table                                       |
//! | states          | that wait                                                                                     |
//! | hash            | of all that: half a file is none                                                              |

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};

use super::Options;
use super::report::Counters;
use super::search::Search;

const KIND: &[u8] = b"regrant model 1\n";
/// The largest part of a file: what a damaged one may make us ask memory for.
const LARGEST: u64 = 1 << 33;
const PIECE: usize = 1 << 16;

/// A hash of the running program: a search goes on only under the rules by which it began.
///
/// # Errors
/// If the program cannot be read.
pub fn program() -> io::Result<[u8; 32]> {
    let (mut file, mut context) = (File::open(std::env::current_exe()?)?, Context::new(&SHA256));
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hash(context)),
            read => context.update(&piece[..read]),
        }
    }
}

impl<'a> Search<'a> {
    /// Puts the search into a file, in place of an earlier one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, file: &Path, program: &[u8; 32]) -> io::Result<()> {
        let part = part_of(file);
        let mut out = Out { file: BufWriter::new(File::create(&part)?), hash: Context::new(&SHA256) };
        self.write(&mut out, program)?;
        let hash = hash(out.hash);
        out.file.write_all(&hash)?;
        out.file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(part, file)
    }

    /// Takes up a search of this world. It may have been told to stop at another number of states.
    ///
    /// # Errors
    /// If the file is of another world or program, or damaged.
    pub fn load(options: &'a Options, file: &Path, program: &[u8; 32]) -> io::Result<Self> {
        let mut from = From { file: BufReader::new(File::open(file)?), hash: Context::new(&SHA256) };
        let search = Self::read(options, &mut from, program)?;
        let mut found = [0; 32];
        let hash = hash(from.hash);
        from.file.read_exact(&mut found)?;
        if found == hash { Ok(search) } else { Err(refuse("it is damaged")) }
    }

    fn write(&self, out: &mut Out, program: &[u8; 32]) -> io::Result<()> {
        out.bytes(KIND)?;
        out.bytes(program)?;
        let world = world(self.world.options);
        out.number(world.len() as u64)?;
        out.bytes(world.as_bytes())?;
        let rides = u64::from(self.rides);
        let spent = u64::try_from(self.spent.as_millis()).unwrap_or(u64::MAX);
        for number in [self.at, self.level_end, u64::from(self.depth), self.transitions, rides, spent] {
            out.number(number)?;
        }
        for (_, count) in self.world.counters.named() {
            out.number(count)?;
        }
        let (seeds, ratchets) = self.world.bench.names();
        out.number(seeds.len() as u64)?;
        for (seed, parent) in seeds {
            out.bytes(&seed)?;
            out.bytes(&parent.to_le_bytes())?;
        }
        out.number(ratchets.len() as u64)?;
        ratchets.iter().try_for_each(|ratchet| out.bytes(ratchet))?;
        out.number(self.ways.steps.len() as u64)?;
        out.bytes(&self.ways.steps)?;
        self.ways.from.iter().try_for_each(|from| out.bytes(&from.to_le_bytes()))?;
        out.number(self.known.count())?;
        self.known.all().try_for_each(|print| out.number(print))?;
        let pieces: Vec<&[u8]> = self.waiting.pieces().collect();
        out.number(pieces.len() as u64)?;
        pieces.iter().try_for_each(|piece| {
            out.number(piece.len() as u64)?;
            out.bytes(piece)
        })
    }

    fn read(options: &'a Options, from: &mut From, program: &[u8; 32]) -> io::Result<Self> {
        if from.bytes(KIND.len() as u64)? != KIND {
            return Err(refuse("it is no search"));
        }
        if from.bytes(32)? != program {
            return Err(refuse("another build of this program has written it"));
        }
        let length = from.number()?;
        if from.bytes(length)? != world(options).as_bytes() {
            return Err(refuse("it is of another world"));
        }
        let mut search = Self::empty(options);
        search.at = from.number()?;
        search.level_end = from.number()?;
        search.depth = u32::try_from(from.number()?).unwrap_or(u32::MAX);
        search.transitions = from.number()?;
        search.rides = u8::try_from(from.number()?).unwrap_or(u8::MAX);
        search.spent = Duration::from_millis(from.number()?);
        let mut counts = [0; Counters::COUNT];
        for count in &mut counts {
            *count = from.number()?;
        }
        search.world.counters = Counters::of(&counts);
        for number in 0..from.number()? {
            let (seed, parent) = (from.array()?, u16::from_le_bytes(from.array()?));
            if !search.world.bench.name_seed(number, seed, parent) {
                return Err(refuse("its seeds are in another order"));
            }
        }
        for number in 0..from.number()? {
            if !search.world.bench.name_ratchet(number, from.array()?) {
                return Err(refuse("its ratchets are in another order"));
            }
        }
        let ways = from.number()?;
        search.ways.steps = from.bytes(ways)?;
        search.ways.from.reserve(search.ways.steps.len());
        for _ in 0..ways {
            search.ways.from.push(u32::from_le_bytes(from.array()?));
        }
        for _ in 0..from.number()? {
            search.known.insert(from.number()?);
        }
        for _ in 0..from.number()? {
            let length = from.number()?;
            search.waiting.add(from.bytes(length)?);
        }
        Ok(search)
    }
}

/// The world, whatever the number of states at which its search stops.
fn world(options: &Options) -> String {
    format!("{:?}", Options { states: 0, ..options.clone() })
}

/// Where it is written first.
fn part_of(file: &Path) -> std::path::PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn refuse(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn hash(context: Context) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

struct Out {
    file: BufWriter<File>,
    hash: Context,
}

impl Out {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.file.write_all(bytes)
    }

    fn number(&mut self, number: u64) -> io::Result<()> {
        self.bytes(&number.to_le_bytes())
    }
}

struct From {
    file: BufReader<File>,
    hash: Context,
}

impl From {
    fn bytes(&mut self, length: u64) -> io::Result<Vec<u8>> {
        if length > LARGEST {
            return Err(refuse("it is damaged"));
        }
        let mut bytes = Vec::new();
        let read = (&mut self.file).take(length).read_to_end(&mut bytes)?;
        self.hash.update(&bytes);
        if read as u64 == length { Ok(bytes) } else { Err(refuse("it ends too early")) }
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes)?;
        self.hash.update(&bytes);
        Ok(bytes)
    }

    fn number(&mut self) -> io::Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Holder, Pace, run};
    use super::*;
    use sim::process::Scratch;

    fn paused<'a>(options: &'a Options, scratch: &Scratch) -> Search<'a> {
        let mut search = Search::begin(options);
        assert!(search.go(&mut |_| Pace::Pause).is_none());
        search.save(&scratch.path().join("search"), &[1; 32]).unwrap();
        search
    }

    /// A search that was put aside sees what it would have seen.
    #[test]
    fn a_search_goes_on_where_it_was_paused() {
        let (scratch, options) = (Scratch::new("search"), Options { states: 300_000, ..Options::large(Holder::Plain) });
        let paused = paused(&options, &scratch);
        assert!((60_000..100_000).contains(&paused.states()), "{paused:?}");
        let mut again = Search::load(&options, &scratch.path().join("search"), &[1; 32]).unwrap();
        let (once, twice) = (run(&options, &mut |_| {}), again.go(&mut |_| Pace::On).unwrap());
        assert_eq!((once.states, once.transitions, once.depth), (twice.states, twice.transitions, twice.depth));
        assert_eq!((once.counters, once.rides), (twice.counters, twice.rides));
        assert_eq!(once.violation, twice.violation);
    }

    /// And a law that is broken after the pause has its history from the beginning.
    #[test]
    fn a_history_is_told_across_a_pause() {
        let scratch = Scratch::new("search-trace");
        let options = Options {
            fault: Some(super::super::Fault::RevokeBeforeClient),
            revocations: 0,
            ..Options::new(Holder::Key)
        };
        let report = run(&options, &mut |_| {});
        let violation = report.violation.unwrap();
        assert!(report.states > 66_000, "{}", report.states);
        drop(paused(&options, &scratch));
        let mut again = Search::load(&options, &scratch.path().join("search"), &[1; 32]).unwrap();
        assert_eq!(again.go(&mut |_| Pace::On).unwrap().violation, Some(violation));
    }

    #[test]
    fn what_is_not_this_search_is_not_taken_up() {
        let scratch = Scratch::new("search-other");
        let options = Options::large(Holder::Plain);
        drop(paused(&options, &scratch));
        let file = scratch.path().join("search");
        let why = |options: &Options, program: [u8; 32]| {
            Search::load(options, &file, &program).map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(why(&options, [1; 32]), Ok(()));
        assert_eq!(why(&options, [2; 32]), Err("another build of this program has written it".to_owned()));
        assert_eq!(why(&Options::large(Holder::Key), [1; 32]), Err("it is of another world".to_owned()));
        assert_eq!(why(&Options { states: 7, ..options }, [1; 32]), Ok(()));
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, &whole[..whole.len() - 40]).unwrap();
        assert!(why(&options, [1; 32]).is_err());
        let mut other = whole;
        let middle = other.len() / 2;
        other[middle] ^= 1;
        std::fs::write(&file, other).unwrap();
        assert!(why(&options, [1; 32]).is_err());
    }
}
