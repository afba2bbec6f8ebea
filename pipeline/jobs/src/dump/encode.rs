//! The last step to a file that is not plain pages, and the way back.
//!
//! Which columns a CSV has is known only when all records are there, so its records pass through the spool as lines of
//! JSON, with every value as the text of its cell, and become rows at the end; a cell without text is a value that is
//! not there. Compression comes after that, over the whole file.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use futures_util::FutureExt;
use serde_json::{Map, Value};
use store::{Digester, Digests};

use super::format::{Compression, Encoding, Format};
use crate::Interrupt;
use crate::spool::Stored;

/// Buffers of the files.
const BUFFER: usize = 256 << 10;

/// What became of the records.
#[derive(Debug, Clone)]
pub(super) struct Encoded {
    /// The file as it is stored.
    pub(super) stored: Digests,
    /// What it holds, before compression.
    pub(super) content: Digests,
}

/// Makes the file `target` of the records in `source`. Ends with an error when it is asked to end.
pub(super) fn encode(
    source: &Path,
    target: Stored<'_>,
    encoding: Encoding,
    segment_size: Option<u64>,
) -> io::Result<Encoded> {
    let interrupt = target.interrupt;
    let stored = Hashed::new(BufWriter::with_capacity(BUFFER, target), Digester::new(segment_size), interrupt);
    let (content, stored) = match encoding.compression {
        None => fill(source, encoding.format, stored)?,
        Some(Compression::Gzip) => {
            let packer = flate2::write::GzEncoder::new(stored, flate2::Compression::default());
            let (content, packer) = fill(source, encoding.format, packer)?;
            (content, packer.finish()?)
        }
        Some(Compression::Zstd) => {
            let (content, packer) = fill(source, encoding.format, zstd::Encoder::new(stored, 0)?)?;
            (content, packer.finish()?)
        }
    };
    let Hashed { mut inner, digester, .. } = stored;
    inner.flush()?;
    Ok(Encoded { stored: digester.finish(), content })
}

/// Makes records in `target`, as they pass through the pipeline, of the file `source`. Ends with an error when it is
/// asked to end.
pub(super) fn decode(source: &Path, target: Stored<'_>, encoding: Encoding) -> io::Result<()> {
    let interrupt = target.interrupt;
    let stored = BufReader::with_capacity(BUFFER, File::open(source)?);
    let content: Box<dyn Read> = match encoding.compression {
        None => Box::new(stored),
        // A file may consist of several members.
        Some(Compression::Gzip) => Box::new(flate2::bufread::MultiGzDecoder::new(stored)),
        Some(Compression::Zstd) => Box::new(zstd::Decoder::with_buffer(stored)?),
    };
    let records = Hashed::new(target, Digester::new(None), interrupt);
    let mut records = BufWriter::with_capacity(BUFFER, records);
    match encoding.format {
        Format::Json | Format::Ndjson => {
            io::copy(&mut BufReader::with_capacity(BUFFER, content), &mut records)?;
        }
        Format::Csv => from_csv(content, &mut records)?,
    }
    records.flush()
}

/// Writes the content of the file, and gives its digests.
fn fill<W: Write>(source: &Path, format: Format, target: W) -> io::Result<(Digests, W)> {
    let mut target = Hashed::new(target, Digester::new(None), &Interrupt::new());
    match format {
        Format::Json | Format::Ndjson => {
            io::copy(&mut BufReader::with_capacity(BUFFER, File::open(source)?), &mut target)?;
        }
        Format::Csv => to_csv(source, &mut target)?,
    }
    Ok((target.digester.finish(), target.inner))
}

fn to_csv(source: &Path, target: &mut impl Write) -> io::Result<()> {
    let mut names = BTreeSet::new();
    records(source, |record| {
        for name in record.keys().filter(|name| *name != "time") {
            if !names.contains(name) {
                names.insert(name.clone());
            }
        }
        Ok(())
    })?;
    let mut rows = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(target);
    let header = || ["time"].into_iter().chain(names.iter().map(String::as_str));
    rows.write_record(header())?;
    records(source, |record| {
        rows.write_record(header().map(|name| record.get(name).and_then(Value::as_str).unwrap_or_default()))?;
        Ok(())
    })?;
    rows.flush()
}

fn from_csv(source: impl Read, target: &mut impl Write) -> io::Result<()> {
    let mut rows = csv::ReaderBuilder::new().from_reader(source);
    let names = rows.headers()?.clone();
    let mut row = csv::StringRecord::new();
    while rows.read_record(&mut row)? {
        let cells = names.iter().zip(&row).filter(|(_, cell)| !cell.is_empty());
        let record: Map<String, Value> = cells.map(|(name, cell)| (name.to_owned(), Value::from(cell))).collect();
        serde_json::to_writer(&mut *target, &record)?;
        target.write_all(b"\n")?;
    }
    Ok(())
}

/// Gives each record of the pipeline's lines to `take`.
fn records(source: &Path, mut take: impl FnMut(&Map<String, Value>) -> io::Result<()>) -> io::Result<()> {
    let mut lines = BufReader::with_capacity(BUFFER, File::open(source)?);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        take(&serde_json::from_slice(&line)?)?;
        line.clear();
    }
    Ok(())
}

/// Counts and hashes what is written through it.
struct Hashed<W> {
    inner: W,
    digester: Digester,
    interrupt: Interrupt,
}

impl<W> Hashed<W> {
    fn new(inner: W, digester: Digester, interrupt: &Interrupt) -> Hashed<W> {
        Hashed { inner, digester, interrupt: interrupt.clone() }
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.interrupt.requested().now_or_never().is_some() {
            return Err(io::Error::other("interrupted"));
        }
        let written = self.inner.write(bytes)?;
        self.digester.update(&bytes[..written]);
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::Shelf;

    const RECORDS: &str = concat!(
        r#"{"time":"2016-06-11T00:00:00Z","b":"5.0","host":"a,\"b\"\nc"}"#,
        "\n",
        r#"{"time":"2016-06-11T00:00:01Z","a":"true","host":"été"}"#,
        "\n",
    );
    const CSV: &str =
        "time,a,b,host\r\n2016-06-11T00:00:00Z,,5.0,\"a,\"\"b\"\"\nc\"\r\n2016-06-11T00:00:01Z,true,,été\r\n";

    /// Writes a file on a shelf without limits.
    fn stored<T>(path: &Path, write: impl FnOnce(Stored<'_>) -> T) -> T {
        let shelf = Shelf::of_test();
        write(Stored { file: File::create(path).unwrap(), shelf: &shelf, interrupt: &Interrupt::new() })
    }

    fn there_and_back(encoding: Encoding) -> (Vec<u8>, Encoded, String) {
        let folder = tempfile::tempdir().unwrap();
        let [source, target, back] = ["source", "target", "back"].map(|name| folder.path().join(name));
        std::fs::write(&source, RECORDS).unwrap();
        let encoded = stored(&target, |target| encode(&source, target, encoding, None)).unwrap();
        stored(&back, |back| decode(&target, back, encoding)).unwrap();
        (std::fs::read(&target).unwrap(), encoded, std::fs::read_to_string(&back).unwrap())
    }

    #[test]
    fn a_csv_has_all_columns_in_byte_order_and_comes_back() {
        let (file, encoded, back) = there_and_back(Encoding { format: Format::Csv, compression: None });
        assert_eq!(String::from_utf8(file).unwrap(), CSV);
        assert_eq!(encoded.stored.bytes, CSV.len() as u64);
        let parsed = |text: &str| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>();
        assert_eq!(parsed(&back), parsed(RECORDS));
    }

    #[test]
    fn what_is_compressed_is_smaller_or_has_another_digest_and_comes_back() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let (file, encoded, back) =
                there_and_back(Encoding { format: Format::Ndjson, compression: Some(compression) });
            assert_eq!(back, RECORDS);
            assert_eq!(encoded.content, Digests::of(RECORDS.as_bytes(), None));
            assert_eq!(encoded.stored, Digests::of(&file, None));
            assert_ne!(encoded.stored.sha256, encoded.content.sha256);
        }
    }

    #[test]
    fn a_compressed_file_that_is_cut_is_an_error() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let encoding = Encoding { format: Format::Ndjson, compression: Some(compression) };
            let (file, _, _) = there_and_back(encoding);
            let folder = tempfile::tempdir().unwrap();
            let [source, target] = ["source", "target"].map(|name| folder.path().join(name));
            std::fs::write(&source, &file[..file.len() - 5]).unwrap();
            stored(&target, |target| decode(&source, target, encoding)).unwrap_err();
        }
    }

    #[test]
    fn it_ends_when_it_is_asked_to() {
        let folder = tempfile::tempdir().unwrap();
        let [source, target] = ["source", "target"].map(|name| folder.path().join(name));
        std::fs::write(&source, RECORDS).unwrap();
        let (encoding, interrupt) = (Encoding { format: Format::Csv, compression: None }, Interrupt::new());
        interrupt.request();
        let shelf = Shelf::of_test();
        let target = || Stored { file: File::create(&target).unwrap(), shelf: &shelf, interrupt: &interrupt };
        assert_eq!(encode(&source, target(), encoding, None).unwrap_err().to_string(), "interrupted");
        std::fs::write(&source, CSV).unwrap();
        assert_eq!(decode(&source, target(), encoding).unwrap_err().to_string(), "interrupted");
    }
}
