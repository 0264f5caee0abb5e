//! Lines and columns of offsets.

/// The lines of a text.
pub(crate) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(memchr_newlines(text)).collect();
        Self { text, starts }
    }

    /// Line and column from 1; the column counts characters.
    pub(crate) fn place(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        // A line may be megabytes long; beyond this the column is that of a byte.
        let column = match &self.text[start..offset] {
            near if near.len() <= 4096 => near.chars().count(),
            far => far.len(),
        };
        (line, column + 1)
    }
}

fn memchr_newlines(text: &str) -> impl Iterator<Item = usize> {
    text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let lines = Lines::new("a\nüb\n");
        assert_eq!(lines.place(0), (1, 1));
        assert_eq!(lines.place(4), (2, 2));
        assert_eq!(lines.place(3), (2, 1));
        assert_eq!(lines.place(99), (3, 1));
    }
}
