package io.ucp.lang;

import io.ucp.lang.ast.Comments;
import io.ucp.lang.ast.Dimension;
import io.ucp.lang.ast.Expr;
import io.ucp.lang.ast.Name;
import io.ucp.lang.diagnostic.SourceText;
import io.ucp.lang.diagnostic.Span;

import java.lang.reflect.RecordComponent;
import java.util.List;
import java.util.Optional;

/// A syntax tree as text, one record a line, for golden files and for comparing trees.
final class TreeText {
    private final StringBuilder out = new StringBuilder();
    private final boolean places;

    private TreeText(boolean places) {
        this.places = places;
    }

    /// Every record with its place, `@line:column` of its first character.
    static String of(Object node) {
        return text(node, true);
    }

    /// The meaning and the comments only.
    static String withoutPlaces(Object node) {
        return text(node, false);
    }

    private static String text(Object node, boolean places) {
        TreeText text = new TreeText(places);
        text.value("", "", node);
        return text.out.toString();
    }

    private void value(String indent, String label, Object value) {
        switch (value) {
            case Span _ -> {}
            case Comments comments when comments.equals(Comments.NONE) -> {}
            case Optional<?> optional -> optional.ifPresent(v -> value(indent, label, v));
            case List<?> list when list.isEmpty() -> {}
            case List<?> list -> list(indent, label, list);
            case Name(String text, Span span) -> line(indent, label, text + place(span));
            case Dimension(int index, Span span) -> line(indent, label, index + place(span));
            case Expr.Literal(long number, Span span) -> line(indent, label, number + place(span));
            case Expr.Reference(Name name) -> value(indent, label, name);
            case Record node -> record(indent, label, node);
            case Boolean flag when !flag -> {}
            default -> line(indent, label, value.toString());
        }
    }

    private void list(String indent, String label, List<?> list) {
        line(indent, label, "");
        list.forEach(item -> value(indent + "  ", "", item));
    }

    private void record(String indent, String label, Record node) {
        line(indent, label, node.getClass().getSimpleName() + place(span(node)));
        for (RecordComponent component : node.getClass().getRecordComponents()) {
            value(indent + "  ", component.getName(), component(node, component));
        }
    }

    private static Span span(Record node) {
        for (RecordComponent component : node.getClass().getRecordComponents()) {
            if (component.getType() == Span.class) {
                return (Span) component(node, component);
            }
        }
        return Span.NONE;
    }

    private static Object component(Record node, RecordComponent component) {
        try {
            component.getAccessor().setAccessible(true);
            return component.getAccessor().invoke(node);
        } catch (ReflectiveOperationException e) {
            throw new LinkageError(e.getMessage(), e);
        }
    }

    private String place(Span span) {
        if (!places || !span.isKnown()) {
            return "";
        }
        SourceText.Position at = span.source().position(span.start());
        return " @" + at.line() + ":" + at.column();
    }

    private void line(String indent, String label, String text) {
        String separator = label.isEmpty() || text.isEmpty() ? "" : ": ";
        out.append(indent).append(label).append(separator).append(text).append('\n');
    }
}
