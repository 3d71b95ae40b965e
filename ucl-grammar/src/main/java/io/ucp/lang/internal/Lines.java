package io.ucp.lang.internal;

import io.ucp.lang.ast.Commented;
import io.ucp.lang.ast.Comments;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/// The lines of a text in the making, with their comments.
final class Lines {
    /// Columns that a block may take to stand on one line.
    static final int WIDTH = 100;

    private static final String INDENT = "    ";

    private final List<String> lines = new ArrayList<>();
    private int blockStart;

    /// Every line with its end; no empty line at the start or the end, no two in a row.
    String text() {
        int end = lines.size();
        while (end > 0 && lines.get(end - 1).isEmpty()) {
            end--;
        }
        return String.join("\n", lines.subList(0, end)) + "\n";
    }

    /// An empty line, where there is not one already and it would not be the first of the text or a
    /// block.
    void empty() {
        if (lines.size() > blockStart && !lines.getLast().isEmpty()) {
            lines.add("");
        }
    }

    /// Comments on lines of their own.
    void comments(List<String> comments) {
        comments.forEach(comment -> comment("", comment));
    }

    private void comment(String indent, String comment) {
        if (comment.isEmpty()) {
            empty();
        } else {
            lines.add(indent + comment);
        }
    }

    /// A part without a block.
    void node(String text, Comments comments) {
        node("", text, comments);
    }

    private void node(String indent, String text, Comments comments) {
        comments.leading().forEach(comment -> comment(indent, comment));
        add(indent, text, comments);
        comments.closing().forEach(comment -> comment(indent, comment));
    }

    private void add(String indent, String text, Comments comments) {
        String trailing = comments.trailing().map(comment -> "  " + comment).orElse("");
        lines.addAll(List.of((indent + text + trailing).split("\n", -1)));
    }

    /// A part with a block of inner parts, on one line where it fits and the inner parts have no
    /// comments.
    <T> void block(
            String head,
            List<Commented<T>> inner,
            Function<T, String> text,
            String separator,
            String tail,
            Comments comments) {
        comments.leading().forEach(comment -> comment("", comment));
        List<String> texts = inner.stream().map(part -> text.apply(part.node())).toList();
        String flat = head + flat(texts, separator) + tail;
        boolean plain =
                inner.stream().allMatch(part -> part.comments().isEmpty())
                        && comments.closing().stream().allMatch(String::isEmpty);
        if (plain && lastLine(flat).length() <= WIDTH) {
            add("", flat, comments);
            return;
        }
        lines.addAll(List.of((head + " {").split("\n", -1)));
        blockStart = lines.size();
        for (int i = 0; i < inner.size(); i++) {
            node(INDENT, texts.get(i), inner.get(i).comments());
        }
        comments.closing().forEach(comment -> comment(INDENT, comment));
        endBlock();
        add("", "}" + tail, comments);
    }

    private void endBlock() {
        if (lines.getLast().isEmpty()) {
            lines.removeLast();
        }
    }

    private static String flat(List<String> texts, String separator) {
        return texts.isEmpty() ? " {}" : " { " + String.join(separator, texts) + " }";
    }

    private static String lastLine(String text) {
        return text.substring(text.lastIndexOf('\n') + 1);
    }
}
