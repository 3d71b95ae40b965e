package io.ucp.lang.diagnostic;

/// A stretch of a source, `[start, end)` in UTF-16 units. It carries its source, so that the parts
/// of a spec put together from several files each know where they come from.
public record Span(SourceText source, int start, int end) {
    /// The span of what was not written by anyone: inferred rules, defaults.
    public static final Span NONE = new Span(SourceText.NONE, 0, 0);

    public Span {
        if (start < 0 || end < start || end > source.text().length()) {
            throw new IllegalArgumentException(
                    "span [%d, %d) in a text of %d".formatted(start, end, source.text().length()));
        }
    }

    /// Whether there is a place to show.
    public boolean isKnown() {
        return !source.equals(SourceText.NONE);
    }

    /// From the start of this span to the end of another one of the same source.
    public Span to(Span last) {
        return new Span(source, start, last.end);
    }

    /// The text that the span covers.
    public String text() {
        return source.text().substring(start, end);
    }

    @Override
    public String toString() {
        if (!isKnown()) {
            return "nowhere";
        }
        SourceText.Position at = source.position(start);
        return source.name() + ":" + at.line() + ":" + at.column();
    }
}
