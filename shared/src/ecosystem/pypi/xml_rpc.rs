//! Answers of XML-RPC (<http://xmlrpc.com/spec.md>), as far as PyPI's journal needs them.

use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::Event;
use quick_xml::{Reader, XmlVersion};

use super::changes::{JournalError, malformed};

/// How deep values may be in one another. A list of rows has two levels.
const DEPTH_LIMIT: usize = 8;

/// A value of the protocol, as far as it occurs (<http://xmlrpc.com/spec.md>, with `nil`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Nothing,
    Number(i64),
    Text(String),
    List(Vec<Value>),
    Members(Vec<(String, Value)>),
}

/// The one value of an answer, or the fault that is in its place.
pub(super) fn answer(bytes: &[u8], value_limit: usize) -> Result<Value, JournalError> {
    let text = std::str::from_utf8(bytes).map_err(|source| malformed(source.to_string()))?;
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut parser = Parser {
        reader,
        values_left: value_limit,
    };
    parser.open("methodResponse")?;
    match parser.tag()? {
        Tag::Open(name) if name == "params" => {
            parser.open("param")?;
            parser.open("value")?;
            let value = parser.value(0)?;
            for name in ["param", "params", "methodResponse"] {
                parser.close(name)?;
            }
            match parser.tag()? {
                Tag::End => Ok(value),
                Tag::Open(_) | Tag::Close(_) => Err(malformed("something after the answer")),
            }
        }
        Tag::Open(name) if name == "fault" => {
            parser.open("value")?;
            Err(fault_of(parser.value(0)?))
        }
        Tag::Open(_) | Tag::Close(_) | Tag::End => Err(malformed("neither an answer nor a fault")),
    }
}

fn fault_of(fault: Value) -> JournalError {
    let Value::Members(members) = fault else {
        return malformed("a fault without a reason");
    };
    let (mut code, mut message) = (0, String::new());
    for (name, value) in members {
        match (name.as_str(), value) {
            ("faultCode", Value::Number(number)) => code = number,
            ("faultString", Value::Text(text)) => message = text.chars().take(500).collect(),
            (_, _) => {}
        }
    }
    JournalError::Fault { code, message }
}

/// What comes between texts.
enum Tag {
    Open(String),
    Close(String),
    End,
}

/// Reads an answer from front to back. The tokenizer sees to it that elements close in the order in which they open.
struct Parser<'a> {
    reader: Reader<&'a [u8]>,
    values_left: usize,
}

impl Parser<'_> {
    /// The text up to the next tag, and the tag. Comments and instructions are passed over. A document type is refused: it
    /// could define entities.
    fn step(&mut self) -> Result<(String, Tag), JournalError> {
        let mut text = String::new();
        loop {
            match self
                .reader
                .read_event()
                .map_err(|source| malformed(source.to_string()))?
            {
                Event::Start(start) | Event::Empty(start) => {
                    return Ok((text, Tag::Open(start.name().as_ref().to_owned())));
                }
                Event::End(end) => return Ok((text, Tag::Close(end.name().as_ref().to_owned()))),
                Event::Eof => return Ok((text, Tag::End)),
                Event::Text(part) => text.push_str(&part.xml_content(XmlVersion::Explicit1_0)),
                Event::CData(part) => text.push_str(&part.xml_content(XmlVersion::Explicit1_0)),
                Event::GeneralRef(reference) => match reference.resolve_char_ref() {
                    Ok(Some(character)) => text.push(character),
                    Ok(None) => match resolve_xml_entity(&reference.xml_content(XmlVersion::Explicit1_0)) {
                        Some(replacement) => text.push_str(replacement),
                        None => return Err(malformed("an entity that XML does not define")),
                    },
                    Err(source) => return Err(malformed(source.to_string())),
                },
                Event::DocType(_) => return Err(malformed("a document type")),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            }
        }
    }

    /// The next tag, with nothing but white space before it.
    fn tag(&mut self) -> Result<Tag, JournalError> {
        let (text, tag) = self.step()?;
        if text.trim().is_empty() {
            Ok(tag)
        } else {
            Err(malformed("text between elements"))
        }
    }

    fn open(&mut self, wanted: &str) -> Result<(), JournalError> {
        match self.tag()? {
            Tag::Open(name) if name == wanted => Ok(()),
            Tag::Open(_) | Tag::Close(_) | Tag::End => Err(malformed(format!("no <{wanted}> where one must be"))),
        }
    }

    fn close(&mut self, wanted: &str) -> Result<(), JournalError> {
        match self.tag()? {
            Tag::Close(name) if name == wanted => Ok(()),
            Tag::Open(_) | Tag::Close(_) | Tag::End => Err(malformed(format!("no </{wanted}> where one must be"))),
        }
    }

    /// The text up to the end of the element.
    fn text(&mut self) -> Result<String, JournalError> {
        match self.step()? {
            (text, Tag::Close(_)) => Ok(text),
            (_, Tag::Open(_) | Tag::End) => Err(malformed("no end of a text")),
        }
    }

    /// A value whose element has been opened, to the end of the element.
    fn value(&mut self, depth: usize) -> Result<Value, JournalError> {
        let left = self.values_left.checked_sub(1);
        self.values_left = left.ok_or(JournalError::TooLarge("too many values"))?;
        if depth > DEPTH_LIMIT {
            return Err(JournalError::TooLarge("values too deep in one another"));
        }
        let value = match self.step()? {
            // "If no type is indicated, the type is string."
            (text, Tag::Close(_)) => return Ok(Value::Text(text)),
            (text, Tag::Open(kind)) if text.trim().is_empty() => self.typed(&kind, depth)?,
            (_, Tag::Open(_) | Tag::End) => return Err(malformed("a value of two types")),
        };
        self.close("value")?;
        Ok(value)
    }

    fn typed(&mut self, kind: &str, depth: usize) -> Result<Value, JournalError> {
        match kind {
            "string" => Ok(Value::Text(self.text()?)),
            "int" | "i4" | "i8" => {
                let digits = self.text()?;
                let number = digits
                    .trim()
                    .parse()
                    .map_err(|_source| malformed("a number that is none"))?;
                Ok(Value::Number(number))
            }
            "nil" => {
                self.close("nil")?;
                Ok(Value::Nothing)
            }
            "array" => {
                self.open("data")?;
                let mut values = Vec::new();
                loop {
                    match self.tag()? {
                        Tag::Open(name) if name == "value" => values.push(self.value(depth + 1)?),
                        Tag::Close(_) => break,
                        Tag::Open(_) | Tag::End => return Err(malformed("a list of something else than values")),
                    }
                }
                self.close("array")?;
                Ok(Value::List(values))
            }
            "struct" => {
                let mut members = Vec::new();
                loop {
                    match self.tag()? {
                        Tag::Open(name) if name == "member" => {
                            self.open("name")?;
                            let name = self.text()?;
                            self.open("value")?;
                            members.push((name, self.value(depth + 1)?));
                            self.close("member")?;
                        }
                        Tag::Close(_) => break,
                        Tag::Open(_) | Tag::End => return Err(malformed("a structure without members")),
                    }
                }
                Ok(Value::Members(members))
            }
            other => Err(malformed(format!("a value of type {other:?}"))),
        }
    }
}
