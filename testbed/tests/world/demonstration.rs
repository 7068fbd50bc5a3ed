//! The ready scenario.

use std::collections::BTreeSet;

#[test]
fn the_demonstration_has_a_package_for_each_status() {
    let demo = testbed::demo();
    let expected: BTreeSet<_> = demo.cases.iter().map(|case| case.expected).collect();
    let statuses = BTreeSet::from([
        "attested",
        "indeterminate",
        "mismatch",
        "suspicious",
        "unattested",
        "verified",
    ]);
    assert_eq!(expected, statuses);
}
