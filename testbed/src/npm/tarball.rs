//! Package tarballs, made the same way every time.

use crate::archive;
use serde_json::Value;

/// The modification time that `npm pack` gives to every file: 1985-10-26T08:15:00Z.
const PACKED_AT: u64 = 499_162_500;

/// A gzip-compressed tarball with `package/package.json` and two more files.
///
/// Two calls with the same manifest give the same bytes.
pub fn pack(package_json: &Value) -> Vec<u8> {
    let text = |member: &str| package_json.get(member).and_then(Value::as_str).unwrap_or_default();
    let files = [
        ("package/package.json", format!("{package_json:#}\n")),
        (
            "package/index.js",
            format!(
                "'use strict'\nmodule.exports = '{} {}'\n",
                text("name"),
                text("version")
            ),
        ),
        ("package/README.md", format!("# {}\n", text("name"))),
    ]
    .map(|(path, content)| (path.to_owned(), content));
    archive::tar_gz(&files, PACKED_AT)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;
    use crate::archive::swap_one_byte;
    use flate2::read::GzDecoder;
    use serde_json::json;
    use std::io::Read as _;

    #[test]
    fn the_same_manifest_gives_the_same_bytes() {
        let manifest = json!({"name": "a", "version": "1.0.0"});
        assert_eq!(pack(&manifest), pack(&manifest));
    }

    #[test]
    fn the_manifest_can_be_read_back_even_after_one_byte_was_swapped() {
        let manifest = json!({"name": "a", "version": "1.0.0"});
        let honest = pack(&manifest);
        let mut swapped = honest.clone();
        swap_one_byte(&mut swapped);
        assert_eq!(
            honest
                .iter()
                .zip(&swapped)
                .filter(|(left, right)| left != right)
                .count(),
            1
        );
        let mut archive = tar::Archive::new(GzDecoder::new(swapped.as_slice()));
        let mut first = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(first.path().unwrap().to_str(), Some("package/package.json"));
        let mut text = String::new();
        first.read_to_string(&mut text).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), manifest);
    }
}
