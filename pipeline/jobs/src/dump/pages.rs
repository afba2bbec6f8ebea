//! Pages: each a line with a JSON array of records. Or, where no pages are wanted, each record a line.

/// Writes records into pages, as bytes that its owner carries away.
#[derive(Debug)]
pub(super) struct Pages {
    /// `None`: there are no pages.
    page_size: Option<u64>,
    in_page: u64,
    pages: u64,
    records: u64,
    out: Vec<u8>,
}

impl Pages {
    /// At most `page_size` records a page, and at least one.
    pub(super) fn new(page_size: Option<usize>) -> Pages {
        let page_size = page_size.map(|page_size| (page_size as u64).max(1));
        Pages { page_size, in_page: 0, pages: 0, records: 0, out: Vec::new() }
    }

    /// Appends a record, which is written already.
    pub(super) fn add(&mut self, record: &[u8]) {
        self.records += 1;
        let Some(page_size) = self.page_size else {
            self.out.extend_from_slice(record);
            self.out.push(b'\n');
            return;
        };
        self.out.push(if self.in_page == 0 { b'[' } else { b',' });
        self.out.extend_from_slice(record);
        self.in_page += 1;
        if self.in_page == page_size {
            self.close_page();
        }
    }

    /// Ends the last page.
    pub(super) fn finish(&mut self) {
        if self.in_page > 0 {
            self.close_page();
        }
    }

    /// Bytes that wait to be carried away.
    pub(super) fn waiting(&self) -> usize {
        self.out.len()
    }

    /// Hands over what has been written since the last time, and goes on with an empty buffer as large as this one.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let next = Vec::with_capacity(self.out.capacity());
        std::mem::replace(&mut self.out, next)
    }

    /// Records so far.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Pages so far, without one that is not full.
    pub(super) fn pages(&self) -> u64 {
        self.pages
    }

    fn close_page(&mut self) {
        self.out.extend_from_slice(b"]\n");
        self.in_page = 0;
        self.pages += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_lines_of_at_most_their_size() {
        // page size | records | pages
        let table = [
            (2, 0, ""),
            (2, 1, "[0]\n"),
            (2, 2, "[0,1]\n"),
            (2, 3, "[0,1]\n[2]\n"),
            (2, 4, "[0,1]\n[2,3]\n"),
            (1, 2, "[0]\n[1]\n"),
            (0, 2, "[0]\n[1]\n"),
            (1000, 3, "[0,1,2]\n"),
        ];
        for (page_size, records, expected) in table {
            let mut pages = Pages::new(Some(page_size));
            let mut carried = Vec::new();
            for record in 0..records {
                pages.add(record.to_string().as_bytes());
                if record % 2 == 0 {
                    carried.extend(pages.take());
                }
            }
            pages.finish();
            carried.extend(pages.take());
            assert_eq!(String::from_utf8(carried).unwrap(), expected, "{records} records, {page_size} a page");
            assert_eq!((pages.records(), pages.pages()), (records, expected.lines().count() as u64));
            assert_eq!(pages.waiting(), 0);
        }
    }

    #[test]
    fn without_pages_each_record_is_a_line() {
        let mut lines = Pages::new(None);
        lines.add(b"0");
        lines.add(b"1");
        lines.finish();
        assert_eq!((lines.take(), lines.records(), lines.pages()), (b"0\n1\n".to_vec(), 2, 0));
    }
}
