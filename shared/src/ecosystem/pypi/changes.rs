//! PyPI's journal of everything that happens to projects, by its two XML-RPC methods
//! (<https://docs.pypi.org/api/>; <https://warehouse.pypa.io/api-reference/xml-rpc.html>).
//!
//! What PyPI says of them: XML-RPC is to be deprecated, without a date, and new integrations should not use it; yet its
//! methods for mirrors, these two and the list of packages with serials, are "currently the only methods we consider fully
//! supported", until there is something better for mirrors. The interface is limited very restrictively, so that one has to
//! pause between requests (a second, in its examples; the source's default is 3,600 an hour for each client), and its answers
//! are not cached. Serials rise, and one is only ever given once. A method answers at most 50,000 rows, the oldest first.
//!
//! Requests are a `POST` of `text/xml` to `/pypi`.

use jiff::Timestamp;
use thiserror::Error;

use super::xml_rpc::{Value, answer};

/// The media type of requests and answers.
pub(super) const MEDIA_TYPE: &str = "text/xml";

/// The most rows that are read of one answer; PyPI's own limit.
const ROW_LIMIT: usize = 50_000;

/// The body of the request for the last event's serial.
pub(super) fn last_serial_request() -> String {
    call("changelog_last_serial", "")
}

/// The body of the request for what happened after an event.
pub(super) fn since_serial_request(serial: u64) -> String {
    // `<int>` has 32 bits by the specification. PyPI's serials had eight digits in 2024, and its reader takes any length.
    call(
        "changelog_since_serial",
        &format!("<param><value><int>{serial}</int></value></param>"),
    )
}

fn call(method: &str, parameters: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><methodCall><methodName>{method}</methodName><params>{parameters}</params></methodCall>"
    )
}

/// Something that happened to a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JournalRow {
    /// The project's name, as it is written there.
    pub name: String,
    /// The version, where it concerns one.
    pub version: Option<String>,
    /// When.
    pub at: Timestamp,
    /// What, in words: `new release`, `remove release`, `add py3 file …`, `yank release`, `create` and others.
    pub action: String,
    /// The event's serial.
    pub serial: u64,
}

/// Why an answer is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum JournalError {
    /// The method reports a fault: too many requests, say.
    #[error("the interface reports fault {code}: {message}")]
    Fault {
        /// Its number.
        code: i64,
        /// Its words.
        message: String,
    },
    /// Not XML, no answer of a method, or not of the documented shape.
    #[error("the answer is none that the interface documents: {0}")]
    Malformed(String),
    /// More than is ever read.
    #[error("the answer is too large: {0}")]
    TooLarge(&'static str),
}

pub(super) fn malformed(detail: impl Into<String>) -> JournalError {
    JournalError::Malformed(detail.into())
}

/// Reads the answer that names the last event's serial.
pub(super) fn last_serial(bytes: &[u8]) -> Result<u64, JournalError> {
    match answer(bytes, value_limit(1))? {
        Value::Number(serial) => u64::try_from(serial).map_err(|_source| malformed("a serial below zero")),
        Value::Text(_) | Value::List(_) | Value::Members(_) | Value::Nothing => Err(malformed("no serial")),
    }
}

/// Reads the answer that lists what happened, in the order of serials. A row of another shape spoils the whole answer: what
/// is read over here would be missed for ever.
pub(super) fn rows(bytes: &[u8]) -> Result<Vec<JournalRow>, JournalError> {
    rows_within(bytes, ROW_LIMIT)
}

/// How many values an answer of so many rows has at most: five in each, the rows themselves and what is around them.
fn value_limit(rows: usize) -> usize {
    6 * rows + 16
}

fn rows_within(bytes: &[u8], limit: usize) -> Result<Vec<JournalRow>, JournalError> {
    let Value::List(rows) = answer(bytes, value_limit(limit))? else {
        return Err(malformed("no list"));
    };
    if rows.len() > limit {
        return Err(JournalError::TooLarge("too many rows"));
    }
    let mut rows: Vec<JournalRow> = rows.into_iter().map(row).collect::<Result<_, _>>()?;
    rows.sort_by_key(|row| row.serial);
    Ok(rows)
}

fn row(value: Value) -> Result<JournalRow, JournalError> {
    let Value::List(values) = value else {
        return Err(malformed("a row that is no list"));
    };
    let values = <[Value; 5]>::try_from(values).map_err(|values| malformed(format!("a row of {}", values.len())))?;
    match values {
        [
            Value::Text(name),
            version @ (Value::Text(_) | Value::Nothing),
            Value::Number(at),
            Value::Text(action),
            Value::Number(serial),
        ] => Ok(JournalRow {
            name,
            version: match version {
                Value::Text(version) if !version.is_empty() => Some(version),
                Value::Text(_) | Value::Nothing | Value::Number(_) | Value::List(_) | Value::Members(_) => None,
            },
            at: Timestamp::from_second(at).map_err(|source| malformed(source.to_string()))?,
            action,
            serial: u64::try_from(serial).map_err(|_source| malformed("a serial below zero"))?,
        }),
        _ => Err(malformed("a row of other values")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(value: &str) -> String {
        format!(
            "<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n<value>{value}</value>\n</param>\n</params>\n</methodResponse>\n"
        )
    }

    fn list(values: &[String]) -> String {
        let values: Vec<String> = values.iter().map(|value| format!("<value>{value}</value>\n")).collect();
        format!("<array><data>\n{}</data></array>", values.concat())
    }

    fn event(name: &str, version: &str, action: &str, serial: u64) -> String {
        let strings = |text: &str| format!("<string>{text}</string>");
        let version = if version.is_empty() {
            "<nil/>".to_owned()
        } else {
            strings(version)
        };
        list(&[
            strings(name),
            version,
            "<int>1725534675</int>".to_owned(),
            strings(action),
            format!("<int>{serial}</int>"),
        ])
    }

    fn read(value: &str) -> Result<Vec<JournalRow>, JournalError> {
        rows(response(value).as_bytes())
    }

    #[test]
    fn requests_name_their_method_and_its_argument() {
        assert!(last_serial_request().contains("<methodName>changelog_last_serial</methodName><params></params>"));
        let request = since_serial_request(24_891_357);
        assert!(request.contains("<methodName>changelog_since_serial</methodName>"));
        assert!(request.contains("<param><value><int>24891357</int></value></param>"));
    }

    #[test]
    fn the_last_serial_is_read() {
        for value in ["<int>24891357</int>", "<i4>24891357</i4>", "<i8> 24891357 </i8>"] {
            assert_eq!(last_serial(response(value).as_bytes()), Ok(24_891_357));
        }
        for value in [
            "",
            "<int>-1</int>",
            "<int></int>",
            "<string>1</string>",
            "<nil/>",
            "<double>1.0</double>",
        ] {
            assert!(
                matches!(last_serial(response(value).as_bytes()), Err(JournalError::Malformed(_))),
                "{value}"
            );
        }
    }

    #[test]
    fn events_are_read_in_the_order_of_their_serials() {
        let found = read(&list(&[
            event("b", "", "create", 8),
            event("Foo.Bar", "1.0", "add py3 file a&amp;b &#60;x&gt;<![CDATA[&c]]>", 7),
        ]))
        .unwrap();
        let expected = JournalRow {
            name: "Foo.Bar".to_owned(),
            version: Some("1.0".to_owned()),
            at: "2024-09-05T11:11:15Z".parse().unwrap(),
            action: "add py3 file a&b <x>&c".to_owned(),
            serial: 7,
        };
        assert_eq!(found.first(), Some(&expected));
        let second = found.get(1).unwrap();
        assert_eq!(
            (second.name.as_str(), second.version.clone(), second.serial),
            ("b", None, 8)
        );
        assert_eq!(read(&list(&[])), Ok(Vec::new()));
    }

    #[test]
    fn a_fault_is_told() {
        let fault = "<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>-32500</int></value>\
            </member><member><name>faultString</name><value><string>HTTPTooManyRequests: slow down</string></value></member>\
            </struct></value></fault></methodResponse>";
        let expected = JournalError::Fault {
            code: -32500,
            message: "HTTPTooManyRequests: slow down".to_owned(),
        };
        assert_eq!(rows(fault.as_bytes()), Err(expected.clone()));
        assert_eq!(last_serial(fault.as_bytes()), Err(expected));
    }

    #[test]
    fn one_row_of_another_shape_spoils_the_answer() {
        let good = event("a", "1.0", "create", 7);
        for row in [
            "<nil/>".to_owned(),
            list(&["<string>a</string>".to_owned()]),
            event("a", "1.0", "create", 7).replace("<int>7</int>", "<string>7</string>"),
            event("a", "1.0", "create", 7).replace("<int>7</int>", "<int>-7</int>"),
            event("a", "1.0", "create", 7).replace("1725534675", "99999999999999"),
        ] {
            assert!(matches!(
                read(&list(&[good.clone(), row])),
                Err(JournalError::Malformed(_))
            ));
        }
    }

    #[test]
    fn what_is_no_answer_is_none() {
        let good = response(&list(&[event("a", "1.0", "create", 7)]));
        for text in [
            String::new(),
            "<html></html>".to_owned(),
            "Too many requests".to_owned(),
            format!("{good}<x/>"),
            good.replace("</params>", ""),
            good.replace("<params>", "<params>text"),
            good.replace("<methodResponse>", "<!DOCTYPE a [<!ENTITY b \"c\">]><methodResponse>"),
            good.replace("create", "&unknown;"),
            good.replace("<string>create</string>", "x<string>create</string>"),
        ] {
            assert!(
                matches!(rows(text.as_bytes()), Err(JournalError::Malformed(_))),
                "{text}"
            );
        }
        for end in 0..good.trim_end().len() {
            assert!(rows(good.get(..end).unwrap().as_bytes()).is_err(), "cut at {end}");
        }
        assert!(rows(b"\xff").is_err());
    }

    #[test]
    fn an_answer_without_end_is_too_large() {
        let deep = format!(
            "{}{}",
            "<array><data><value>".repeat(100_000),
            "</value></data></array>".repeat(100_000)
        );
        assert!(matches!(read(&deep), Err(JournalError::TooLarge(_))));
        let many = response(&list(&vec!["<nil/>".to_owned(); value_limit(3)]));
        assert_eq!(
            rows_within(many.as_bytes(), 3),
            Err(JournalError::TooLarge("too many values"))
        );
    }

    #[test]
    fn more_events_than_the_interface_answers_are_too_many() {
        let of = |count: u64| {
            let events: Vec<String> = (0..count).map(|serial| event("a", "1.0", "create", serial)).collect();
            rows_within(response(&list(&events)).as_bytes(), 3).map(|rows| rows.len())
        };
        assert_eq!(of(3), Ok(3));
        assert_eq!(of(4), Err(JournalError::TooLarge("too many rows")));
    }
}
