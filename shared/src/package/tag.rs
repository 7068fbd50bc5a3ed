//! Names of git tags, as packages use them for their versions.

use super::PackageName;

/// Whether a tag's name is one that projects give to this version of this package: `1.2.3`, `v1.2.3`, `name@1.2.3`,
/// `@scope/name@1.2.3`, `name-v1.2.3`, `name/v1.2.3`, `release-1.2.3`, and the like.
///
/// A tag that names another package of the same repository is not one: `other@1.2.3`.
pub fn names_version(tag: &str, package: &PackageName, version: &str) -> bool {
    let Some(before) = tag.strip_suffix(version) else {
        return false;
    };
    let before = before.strip_suffix(['v', 'V']).unwrap_or(before);
    let Some(last) = before.chars().next_back() else {
        return true;
    };
    if !"@-/_.".contains(last) {
        return false;
    }
    let prefix = before.trim_end_matches(['@', '-', '/', '_', '.']);
    let (_scope, bare) = package.scope_and_name();
    let full = package.as_str();
    [
        full,
        full.trim_start_matches('@'),
        bare,
        "release",
        "releases",
        "version",
        "versions",
        "tag",
        "npm",
    ]
    .iter()
    .any(|known| prefix.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::Ecosystem;

    #[test]
    fn every_habit_of_tagging_is_known() {
        let package = PackageName::new(Ecosystem::Npm, "@acme/widget").unwrap();
        for tag in [
            "1.2.3",
            "v1.2.3",
            "widget@1.2.3",
            "@acme/widget@1.2.3",
            "acme/widget@1.2.3",
            "widget-v1.2.3",
            "widget/v1.2.3",
            "Widget-1.2.3",
            "release-1.2.3",
            "releases/v1.2.3",
        ] {
            assert!(names_version(tag, &package, "1.2.3"), "{tag}");
        }
    }

    #[test]
    fn tags_of_other_packages_and_versions_are_others() {
        let package = PackageName::new(Ecosystem::Npm, "@acme/widget").unwrap();
        for tag in [
            "other@1.2.3",
            "11.2.3",
            "v11.2.3",
            "v1.2.3-rc.1",
            "widget1.2.3",
            "x-widget@1.2.3",
            "",
            "latest",
        ] {
            assert!(!names_version(tag, &package, "1.2.3"), "{tag}");
        }
    }
}
