//! Generating must stay cheap enough for property tests.

use std::time::{Duration, Instant};
use testbed::{Release, World};

#[test]
fn a_release_is_made_in_a_few_milliseconds() {
    let world = World::shared();
    let release = Release::honest("@acme/widget", "1.2.3");
    release.publish(&world);
    let begin = Instant::now();
    for _ in 0..50 {
        release.publish(&world);
    }
    let each = begin.elapsed() / 50;
    // A bound that a busy machine keeps; an idle one needs a tenth of it.
    assert!(each < Duration::from_millis(50), "{each:?}");
}
