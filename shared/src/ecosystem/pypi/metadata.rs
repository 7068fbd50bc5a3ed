//! The core metadata inside a distribution: `METADATA` of a wheel, `PKG-INFO` of a source distribution
//! (<https://packaging.python.org/en/latest/specifications/core-metadata/>).
//!
//! The format is that of e-mail headers, and installers read it with a reader of e-mails: names in any case, long values
//! folded, and the description as the body after an empty line. Bytes that are not UTF-8 harm nobody but themselves.

use url::Url;

/// The labels of addresses that lead to the source, without white space and punctuation
/// (<https://packaging.python.org/en/latest/specifications/well-known-project-urls/>), with those that were in use before.
const SOURCE_LABELS: &[&str] = &[
    "source",
    "sourcecode",
    "repository",
    "repo",
    "sourcerepository",
    "code",
    "github",
    "git",
    "homepage",
    "home",
];

/// What the core metadata says, as far as it is read. Claims, all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoreMetadata {
    /// The name, as it is written; `None` where it is missing, or two different ones are there.
    pub name: Option<String>,
    /// The version, as it is written; `None` where it is missing, or two different ones are there.
    pub version: Option<String>,
    /// Where the source is: the first address on GitHub whose label says so, or else the home page.
    pub repository: Option<String>,
}

/// Reads core metadata.
pub fn parse(bytes: &[u8]) -> CoreMetadata {
    let text = String::from_utf8_lossy(bytes);
    let fields = fields(&text);
    let single = |wanted: &str| {
        let mut values = fields.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value);
        let first = values.next()?;
        values.all(|other| other == first).then(|| first.clone())
    };
    let mut labelled = fields
        .iter()
        .filter(|(name, _)| name == "project-url")
        .filter_map(|(_, value)| value.split_once(','));
    let repository = labelled
        .find(|(label, address)| SOURCE_LABELS.contains(&plain(label).as_str()) && is_on_github(address.trim()))
        .map(|(_label, address)| address.trim().to_owned())
        .or_else(|| single("home-page"));
    CoreMetadata {
        name: single("name"),
        version: single("version"),
        repository,
    }
}

/// The fields of the head, names in lower case, values unfolded. Empty ones, and those that old tools filled with
/// `UNKNOWN`, are left out.
fn fields(text: &str) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.trim_start_matches('\u{feff}').lines() {
        if line.is_empty() {
            break;
        }
        if line.starts_with([' ', '\t']) {
            if let Some((_name, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
            continue;
        }
        // The reader of e-mails takes what is no header for the beginning of the body.
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        fields.push((name.trim_end().to_ascii_lowercase(), value.trim().to_owned()));
    }
    for (_name, value) in &mut fields {
        // A value that begins on the folded line.
        *value = value.trim().to_owned();
    }
    fields.retain(|(_name, value)| !value.is_empty() && value != "UNKNOWN");
    fields
}

/// A label without white space and punctuation, in lower case ("Label normalization").
fn plain(label: &str) -> String {
    label
        .chars()
        .filter(|character| !character.is_whitespace() && !character.is_ascii_punctuation())
        .flat_map(char::to_lowercase)
        .collect()
}

/// Whether an address is of a repository on GitHub.
fn is_on_github(address: &str) -> bool {
    let address = address.strip_prefix("git+").unwrap_or(address);
    Url::parse(address).is_ok_and(|url| {
        matches!(url.host_str(), Some("github.com" | "www.github.com"))
            && url
                .path_segments()
                .is_some_and(|segments| segments.filter(|segment| !segment.is_empty()).count() >= 2)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(text: &str) -> Option<String> {
        parse(text.as_bytes()).repository
    }

    #[test]
    fn name_version_and_repository_are_read() {
        let text = "Metadata-Version: 2.4\r\nNAME: Foo.Bar\r\nVersion: 1.0\r\nSummary: ä: b\r\n\
                    Project-URL: Documentation, https://github.com/o/docs\r\n\
                    Project-URL: Source Code, https://github.com/o/r\r\n\
                    Project-URL: Homepage, https://github.com/o/other\r\n\r\nName: not-this\r\n";
        let expected = CoreMetadata {
            name: Some("Foo.Bar".to_owned()),
            version: Some("1.0".to_owned()),
            repository: Some("https://github.com/o/r".to_owned()),
        };
        assert_eq!(parse(text.as_bytes()), expected);
        assert_eq!(parse(format!("\u{feff}{text}").as_bytes()), expected);
    }

    #[test]
    fn a_folded_value_is_one_value() {
        let metadata = parse(b"Name: foo\nDescription: one\n        |two: three\n\tName: no\nVersion:\n 1.0\n");
        assert_eq!(metadata.name.as_deref(), Some("foo"));
        assert_eq!(metadata.version.as_deref(), Some("1.0"));
    }

    #[test]
    fn what_two_fields_say_differently_is_not_known() {
        assert_eq!(parse(b"Name: foo\nName: bar\nVersion: 1\nVersion: 1\n").name, None);
        assert_eq!(
            parse(b"Name: foo\nName: bar\nVersion: 1\nVersion: 1\n")
                .version
                .as_deref(),
            Some("1")
        );
    }

    #[test]
    fn the_body_and_what_is_no_header_are_not_read() {
        assert_eq!(parse(b"Name: foo\n\nVersion: 1.0\n").version, None);
        assert_eq!(parse(b"Name: foo\nno header\nVersion: 1.0\n").version, None);
        assert_eq!(parse(b""), CoreMetadata::default());
        assert_eq!(parse(b" folded\nName: foo\n").name.as_deref(), Some("foo"));
    }

    #[test]
    fn bytes_that_are_not_text_spoil_their_own_field_alone() {
        let metadata = parse(b"Name: foo\nAuthor: \xff\xfe\nVersion: 1.0\n");
        assert_eq!(
            (metadata.name.as_deref(), metadata.version.as_deref()),
            (Some("foo"), Some("1.0"))
        );
    }

    #[test]
    fn the_home_page_stands_in_for_a_repository() {
        assert_eq!(
            repository("Home-page: https://example.org/a\nProject-URL: Source, https://gitlab.com/o/r\n").as_deref(),
            Some("https://example.org/a")
        );
        assert_eq!(repository("Home-page: UNKNOWN\n"), None);
        assert_eq!(repository("Project-URL: Source\n"), None);
    }

    #[test]
    fn only_the_address_of_a_repository_on_github_counts_as_one() {
        for (address, counts) in [
            ("https://github.com/o/r", true),
            ("git+https://github.com/o/r.git", true),
            ("https://www.github.com/o/r/tree/main", true),
            ("https://github.com/o", false),
            ("https://github.com.evil.example/o/r", false),
            ("https://evil.example/github.com/o/r", false),
            ("github.com/o/r", false),
            ("https://github.com@evil.example/o/r", false),
        ] {
            let found = repository(&format!("Project-URL: repository, {address}\n"));
            assert_eq!(found.is_some(), counts, "{address}");
        }
    }

    #[test]
    fn a_label_is_read_without_case_space_and_punctuation() {
        for label in [
            "Source",
            "source code",
            "Source-Code",
            "REPOSITORY",
            "GitHub",
            "Homepage",
            "Home Page",
        ] {
            assert!(
                repository(&format!("Project-URL: {label}, https://github.com/o/r\n")).is_some(),
                "{label}"
            );
        }
        for label in ["Documentation", "Issues", "Funding", "Changelog", ""] {
            assert!(
                repository(&format!("Project-URL: {label}, https://github.com/o/r\n")).is_none(),
                "{label}"
            );
        }
    }
}
