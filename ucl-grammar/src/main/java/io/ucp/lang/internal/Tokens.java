package io.ucp.lang.internal;

import io.ucp.lang.diagnostic.Diagnostic;
import io.ucp.lang.diagnostic.SourceText;
import io.ucp.lang.diagnostic.Span;
import io.ucp.lang.diagnostic.SpecException;

import org.antlr.v4.runtime.CharStreams;
import org.antlr.v4.runtime.CommonTokenStream;
import org.antlr.v4.runtime.ParserRuleContext;
import org.antlr.v4.runtime.Token;

import java.util.List;

/// The tokens of a source, comments included, and where each of them is. What would hurt the parser
/// is refused here, before it runs: too large a text, too deep a nesting.
final class Tokens {
    static final int MAX_LENGTH = 1 << 22;
    static final int MAX_NESTING = 100;

    private final SourceText source;
    private final CommonTokenStream stream;
    private final int[] offsets;

    private Tokens(SourceText source) {
        this.source = source;
        UclLexer lexer = new UclLexer(CharStreams.fromString(source.text(), source.name()));
        lexer.removeErrorListeners();
        this.stream = new CommonTokenStream(lexer);
        this.offsets = offsets(source.text());
        stream.fill();
    }

    static Tokens of(SourceText source) {
        int length = source.text().length();
        if (length > MAX_LENGTH) {
            String message =
                    "a spec of %,d characters; expected at most %,d".formatted(length, MAX_LENGTH);
            throw new SpecException(Diagnostic.error(new Span(source, 0, 0), message));
        }
        Tokens tokens = new Tokens(source);
        tokens.checkNesting();
        return tokens;
    }

    CommonTokenStream stream() {
        return stream;
    }

    List<Token> all() {
        return stream.getTokens();
    }

    SourceText source() {
        return source;
    }

    /// Where a token is; the end of the text is straight behind the last token.
    Span span(Token token) {
        if (token.getType() == Token.EOF) {
            int end =
                    token.getTokenIndex() == 0
                            ? 0
                            : span(all().get(token.getTokenIndex() - 1)).end();
            return new Span(source, end, end);
        }
        return new Span(source, offset(token.getStartIndex()), offset(token.getStopIndex() + 1));
    }

    Span span(Token first, Token last) {
        return span(first).to(span(last));
    }

    Span span(ParserRuleContext context) {
        return span(context.start, context.stop);
    }

    /// What is no token: reported for itself, not as something that the parser met.
    List<Diagnostic> problems() {
        return all().stream().filter(Tokens::isBroken).map(this::problem).toList();
    }

    static boolean isBroken(Token token) {
        return token.getType() == UclLexer.UNKNOWN || token.getType() == UclLexer.UNTERMINATED;
    }

    private Diagnostic problem(Token token) {
        if (token.getType() == UclLexer.UNTERMINATED) {
            return Diagnostic.error(
                    span(token),
                    "a quote that is not closed; expected '\"' before the end of the line");
        }
        int codePoint = token.getText().codePointAt(0);
        String shown = Character.isISOControl(codePoint) ? "" : " '" + token.getText() + "'";
        String message = "unexpected character%s (U+%04X)".formatted(shown, codePoint);
        Diagnostic error = Diagnostic.error(span(token), message);
        return switch (codePoint) {
            case '#' -> error.withHint("a comment starts with //");
            case '\'' -> error.withHint("a name or pattern stands between double quotes");
            default -> error;
        };
    }

    private void checkNesting() {
        int depth = 0;
        for (Token token : all()) {
            depth +=
                    switch (token.getType()) {
                        case UclLexer.LPAREN, UclLexer.LBRACKET, UclLexer.LBRACE -> 1;
                        case UclLexer.RPAREN, UclLexer.RBRACKET, UclLexer.RBRACE -> -1;
                        default -> 0;
                    };
            if (depth > MAX_NESTING) {
                throw new SpecException(
                        Diagnostic.error(
                                span(token),
                                "brackets nested more than %d deep".formatted(MAX_NESTING)));
            }
        }
    }

    /// ANTLR counts code points, spans count UTF-16 units.
    private int offset(int codePoints) {
        return offsets.length == 0 ? codePoints : offsets[codePoints];
    }

    /// The UTF-16 offset of each code point; empty where the two are the same.
    private static int[] offsets(String text) {
        int count = text.codePointCount(0, text.length());
        if (count == text.length()) {
            return new int[0];
        }
        int[] offsets = new int[count + 1];
        for (int i = 0; i < count; i++) {
            offsets[i + 1] = offsets[i] + Character.charCount(text.codePointAt(offsets[i]));
        }
        return offsets;
    }
}
