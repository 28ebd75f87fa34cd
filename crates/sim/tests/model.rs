//! The small worlds, searched: what the model proves of the core, and that it would find what others got wrong.

use sim::model::{Fault, Holder, Law, Options, Report, run, thief_rides};

#[test]
fn temporary() {
    for holder in Holder::ALL {
        for workers in [1, 2] {
            for thief in [false, true] {
                let r = run(&Options { workers, thief, ..Options::new(holder) }, &mut |_| {});
                println!("{r}");
            }
        }
    }
    for fault in Fault::ALL {
        for holder in Holder::ALL {
        let r = run(&Options { fault: Some(fault), ..Options::new(holder) }, &mut |_| {});
        println!("{r}");
        }
    }
}
