package io.ucp.bind;

import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.NamePattern.Piece;

import java.util.Map;
import java.util.stream.Collectors;

/// A name pattern as a person reads it in a message.
final class PatternText {
    private PatternText() {}

    /// `"{l}.mlp.*"` or `re".."`.
    static String of(NamePattern pattern) {
        return switch (pattern) {
            case NamePattern.Glob g -> quoted(bare(g));
            case NamePattern.Regex r -> "re\"" + r.expression() + "\"";
        };
    }

    /// Without quotes.
    static String bare(NamePattern pattern) {
        return switch (pattern) {
            case NamePattern.Glob g ->
                    g.pieces().stream().map(PatternText::piece).collect(Collectors.joining());
            case NamePattern.Regex r -> r.expression();
        };
    }

    /// The one name that a target means where its captures are known; an unknown one stays.
    static String filled(NamePattern.Glob target, Map<String, String> captures) {
        StringBuilder name = new StringBuilder();
        for (Piece piece : target.pieces()) {
            name.append(
                    piece instanceof Piece.Capture(String capture, _)
                            ? captures.getOrDefault(capture, piece(piece))
                            : piece(piece));
        }
        return name.toString();
    }

    static String quoted(String text) {
        return "\"" + text + "\"";
    }

    private static String piece(Piece piece) {
        return switch (piece) {
            case Piece.Text(String text) -> text;
            case Piece.Any(boolean deep) -> deep ? "**" : "*";
            case Piece.Capture(String name, boolean deep) -> "{" + name + (deep ? "**}" : "}");
            case Piece.Counted(String name, long more) ->
                    "{%s %s %d}".formatted(name, more < 0 ? "-" : "+", Math.abs(more));
        };
    }
}
