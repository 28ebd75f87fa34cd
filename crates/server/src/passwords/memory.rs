//! The memory that Argon2 fills: each thread of the pool keeps its own.
//!
//! Taken and given back 19 MiB at a time it would end up in the allocator's arenas, several times over, for as long as the process
//! lives. What was derived from a password is wiped after each use.

use argon2::{Argon2, Block};

use super::MEMORY_KIB;

/// Of one thread: nothing until it is needed, then as much as one of our own hashes takes.
#[derive(Default)]
pub(super) struct Memory(Vec<Block>);

impl Memory {
    /// Fills `out` with the hash of a password. A hash of another server's that takes more memory than ours gets it for this once.
    pub(super) fn hash(
        &mut self,
        argon2: &Argon2<'_>,
        password: &[u8],
        salt: &[u8],
        out: &mut [u8],
    ) -> argon2::Result<()> {
        let needed = argon2.params().block_count();
        if needed > MEMORY_KIB as usize {
            return argon2.hash_password_into(password, salt, out);
        }
        if self.0.is_empty() {
            self.0 = vec![Block::new(); MEMORY_KIB as usize];
        }
        let Some(blocks) = self.0.get_mut(..needed) else { return Err(argon2::Error::MemoryTooLittle) };
        let hashed = argon2.hash_password_into_with_memory(password, salt, out, &mut *blocks);
        blocks.fill(Block::new());
        hashed
    }

    /// How many bytes are held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.0.capacity() * Block::SIZE
    }

    /// Whether nothing is left of what was hashed.
    #[cfg(test)]
    pub(super) fn is_wiped(&self) -> bool {
        self.0.iter().all(|block| block.as_ref().iter().all(|word| *word == 0))
    }
}
