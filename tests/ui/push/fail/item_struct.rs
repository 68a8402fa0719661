//! The macro on a struct.

use teleport::push_controller;

#[push_controller]
struct Log;

fn main() {
    let _ = Log;
}
