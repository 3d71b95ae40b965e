package io.ucp.lang.internal;

import io.ucp.lang.ast.NamePattern;
import java.util.stream.Collectors;

/// stub
final class Printer {
    private Printer() {}

    static String plainText(NamePattern.Glob glob) {
        return glob.pieces().stream()
                .map(p -> p instanceof NamePattern.Piece.Text(String text) ? text : "")
                .collect(Collectors.joining());
    }
}
