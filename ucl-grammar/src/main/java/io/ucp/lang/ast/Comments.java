package io.ucp.lang.ast;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;

/// The comments that belong to a part of a spec, each as it is written, from `//` to the end of its
/// line.
///
/// @param leading on the lines before; an empty string is an empty line that the author left
/// @param trailing on the last line, behind
/// @param closing on the lines before the closing brace of a block, or before the end of the text
public record Comments(List<String> leading, Optional<String> trailing, List<String> closing) {
    public static final Comments NONE = new Comments(List.of(), Optional.empty(), List.of());

    public Comments {
        leading = List.copyOf(leading);
        closing = List.copyOf(closing);
        leading.forEach(Comments::check);
        trailing.ifPresent(Comments::check);
        closing.forEach(Comments::check);
    }

    /// Comment lines before, given without the `//`.
    public static Comments before(String... lines) {
        return new Comments(written(lines), Optional.empty(), List.of());
    }

    /// A comment behind, given without the `//`.
    public static Comments behind(String line) {
        return NONE.withTrailing(line);
    }

    /// The same with a comment behind, given without the `//`.
    public Comments withTrailing(String line) {
        return new Comments(leading, Optional.of(written(line).getFirst()), closing);
    }

    /// The same with an empty line before everything.
    public Comments apart() {
        if (!leading.isEmpty() && leading.getFirst().isEmpty()) {
            return this;
        }
        List<String> lines = new ArrayList<>();
        lines.add("");
        lines.addAll(leading);
        return new Comments(lines, trailing, closing);
    }

    /// Whether there is no comment; empty lines do not count.
    public boolean isEmpty() {
        return leading.stream().allMatch(String::isEmpty)
                && trailing.isEmpty()
                && closing.stream().allMatch(String::isEmpty);
    }

    private static List<String> written(String... texts) {
        List<String> lines = new ArrayList<>();
        for (String text : texts) {
            for (String line : LINE_END.split(text, -1)) {
                lines.add(line.isBlank() ? "//" : "// " + line.strip());
            }
        }
        return lines;
    }

    private static void check(String comment) {
        if ((!comment.isEmpty() && !comment.startsWith("//")) || LINE_END.matcher(comment).find()) {
            throw new IllegalArgumentException(
                    "a comment is one line that starts with //: " + comment);
        }
    }

    private static final Pattern LINE_END = Pattern.compile("\r\n|[\r\n]");
}
