use bytes::Bytes;

use crate::proto::{
    DecodeError, EncodeError,
    scan::{MAX_DEPTH, Scan, end_of},
    value::{RawValue, write_key},
    wire::{Head, Reader, Writer, ext},
};

/// JavaScript with the values it looks up (extension 102, `docs/src/protocol.md` §3.4).
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the protocol has these three parts")]
pub struct Code {
    /// What `__lookup_interpolated(key)` answers in the code.
    pub values: Vec<(String, RawValue)>,
    /// The body of a function of `__lookup_interpolated` and `Bonito`. The page compiles it when it arrives: a syntax
    /// error there fails the whole frame.
    pub source: String,
    /// Where the code comes from, for the page's console.
    pub origin: String,
}

impl Code {
    /// Code that looks nothing up.
    pub fn new(source: impl Into<String>, origin: impl Into<String>) -> Self {
        Self { values: Vec::new(), source: source.into(), origin: origin.into() }
    }

    pub(crate) fn size_guess(&self) -> usize {
        let values: usize =
            self.values.iter().map(|(key, value)| key.len() + value.as_bytes().len() + 2).sum();
        values + self.source.len() + self.origin.len() + 12
    }

    /// Writes the extension value.
    pub(crate) fn write(&self, out: &mut Writer) -> Result<(), EncodeError> {
        let open = out.open_ext(self.size_guess() - 6);
        out.array(3);
        out.map(self.values.len());
        for (key, value) in &self.values {
            write_key(out, key)?;
            out.raw(value.as_bytes());
        }
        out.str(&self.source);
        out.str(&self.origin);
        out.close_ext(&open, ext::CODE);
        Ok(())
    }

    /// Reads the body of the extension value, which a scan has passed.
    pub(crate) fn read(body: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let Head::Array(3) = reader.head()? else {
            return Err(DecodeError::wrong_type(
                "expected the three parts of JavaScript code, other parts came",
            ));
        };
        let Head::Map(len) = reader.head()? else {
            return Err(DecodeError::wrong_type(
                "expected a map of the values that code looks up, another came",
            ));
        };
        let mut scan = Scan::uncounted(MAX_DEPTH);
        let mut values = Vec::with_capacity(len.min(reader.remaining() / 2));
        for _ in 0..len {
            let key = match reader.head()? {
                Head::Str(len) => String::from_utf8_lossy(reader.take(len)?).into_owned(),
                Head::Uint(number) => number.to_string(),
                Head::Int(number) => number.to_string(),
                other => {
                    return Err(DecodeError::wrong_type(format!("expected a name, {} came", other.name())));
                }
            };
            let start = reader.at();
            scan.value(&mut reader, 0)?;
            values.push((key, RawValue::checked(body.slice(start..reader.at()))));
        }
        let source = text(&mut reader, "the source of code")?;
        let origin = text(&mut reader, "the origin of code")?;
        end_of(&reader)?;
        Ok(Self { values, source, origin })
    }
}

/// Reads text that must be there.
pub(crate) fn text(reader: &mut Reader<'_>, what: &str) -> Result<String, DecodeError> {
    match reader.head()? {
        Head::Str(len) => Ok(String::from_utf8_lossy(reader.take(len)?).into_owned()),
        other => Err(DecodeError::wrong_type(format!("expected {what} as text, {} came", other.name()))),
    }
}
