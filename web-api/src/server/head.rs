//! Watches the header of an HTTP/1 request pass, for what the parser takes although it is not
//! allowed.

/// One header, in as many pieces as it comes.
#[derive(Debug, Default)]
pub(super) struct HeadScan {
    /// A line of it ended in a line feed without a carriage return.
    pub(super) has_bare_line_feed: bool,
    /// The line so far, as far as it matters.
    line: Line,
    /// Empty lines may stand before the request.
    has_begun: bool,
    is_over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Line {
    #[default]
    Empty,
    /// Nothing but a carriage return.
    Return,
    Text,
    /// Text, the last of it a carriage return.
    TextReturn,
}

impl HeadScan {
    /// Reads on; what follows the header is left alone.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.is_over {
                return;
            }
            self.step(*byte);
        }
    }

    fn step(&mut self, byte: u8) {
        self.line = match (byte, self.line) {
            (b'\n', line) => {
                self.has_bare_line_feed |= matches!(line, Line::Empty | Line::Text);
                let is_blank = matches!(line, Line::Empty | Line::Return);
                self.is_over = is_blank && self.has_begun;
                self.has_begun |= !is_blank;
                Line::Empty
            }
            (b'\r', Line::Empty) => Line::Return,
            (b'\r', Line::Return | Line::Text | Line::TextReturn) => Line::TextReturn,
            (_, Line::Empty | Line::Return | Line::Text | Line::TextReturn) => Line::Text,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_bare(pieces: &[&str]) -> bool {
        let mut scan = HeadScan::default();
        for piece in pieces {
            scan.read(piece.as_bytes());
        }
        scan.has_bare_line_feed
    }

    #[test]
    fn a_bare_line_feed_is_seen_wherever_the_pieces_end() {
        for text in [
            "GET / HTTP/1.1\nhost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\n\n",
            "\nGET / HTTP/1.1\r\nhost: x\r\n\r\n",
        ] {
            assert!(is_bare(&[text]), "{text:?}");
            for at in 0..text.len() {
                let (first, second) = text.split_at(at);
                assert!(is_bare(&[first, second]), "{text:?}");
            }
        }
    }

    #[test]
    fn what_follows_the_header_may_hold_line_feeds() {
        assert!(!is_bare(&["POST / HTTP/1.1\r\nhost: x\r\n\r\n{\n}\n"]));
        assert!(!is_bare(&[
            "\r\nPOST / HTTP/1.1\r\nhost: x\r\n",
            "\r\n{\n}\n"
        ]));
    }
}
