//! The whole process: the real binary, its files and its signals; what a power cut, a thief of the disk, a full disk and a
//! careless restore find.

mod process {
    mod abuse;
    mod anchor;
    mod backup;
    mod canary;
    mod clients;
    mod control;
    mod demo;
    mod doctor;
    mod drill;
    mod drill_bulk;
    mod drill_people;
    mod events;
    mod exploit;
    mod flood;
    mod full_disk;
    mod hook;
    mod import;
    mod kill;
    mod log;
    mod memory;
    mod memory_read;
    mod misbehaving;
    mod pages;
    mod power;
    mod ready;
    mod refusals;
    mod revoke;
    mod rows;
    mod size;
    mod stopped;
    mod syscalls;
}
