package io.ucp.lang.internal;

import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.Diagnostic;
import io.ucp.lang.diagnostic.SourceText;
import io.ucp.lang.diagnostic.Span;
import io.ucp.lang.diagnostic.SpecException;
import org.antlr.v4.runtime.BaseErrorListener;
import org.antlr.v4.runtime.RecognitionException;
import org.antlr.v4.runtime.Recognizer;
import org.antlr.v4.runtime.Token;
import org.antlr.v4.runtime.atn.PredictionMode;
import org.jspecify.annotations.Nullable;

/// From text to a checked spec, in the steps that the package names.
public final class SpecParser {
    private SpecParser() {}

    /// The checked tree of a text.
    ///
    /// @throws SpecException with everything that is wrong with the text
    public static Spec parse(SourceText source) {
        Problems problems = new Problems();
        Spec spec = read(source, problems);
        if (!problems.any()) {
            Checks.of(spec, problems).run();
        }
        problems.throwIfAny();
        return spec;
    }

    /// The tree of a text that is well formed, whether or not what it says makes sense.
    ///
    /// @throws SpecException with every syntax error
    public static Spec parseSyntax(SourceText source) {
        Problems problems = new Problems();
        Spec spec = read(source, problems);
        problems.throwIfAny();
        return spec;
    }

    private static Spec read(SourceText source, Problems problems) {
        Tokens tokens = Tokens.of(source);
        tokens.problems().forEach(problems::add);
        UclParser parser = new UclParser(tokens.stream());
        parser.removeErrorListeners();
        parser.addErrorListener(new SyntaxErrors(tokens, problems));
        parser.setErrorHandler(new Recovery());
        parser.getInterpreter().setPredictionMode(PredictionMode.SLL);
        UclParser.FileContext file = parser.file();
        return new SpecBuilder(tokens, problems).spec(file);
    }

    private static final class SyntaxErrors extends BaseErrorListener {
        private final Tokens tokens;
        private final Problems problems;

        SyntaxErrors(Tokens tokens, Problems problems) {
            this.tokens = tokens;
            this.problems = problems;
        }

        @Override
        public void syntaxError(
                Recognizer<?, ?> recognizer,
                Object offending,
                int line,
                int column,
                String message,
                @Nullable RecognitionException e) {
            Token token = (Token) offending;
            if (Tokens.isBroken(token)) {
                return;
            }
            Span span = tokens.span(token);
            boolean name = message.contains(" name") && Words.isKeyword(token.getText());
            problems.add(
                    name
                            ? Diagnostic.error(
                                    span,
                                    message,
                                    "'%1$s' is a word of the language; as a name it is written `%1$s`"
                                            .formatted(token.getText()))
                            : Diagnostic.error(span, message));
        }
    }
}
