package io.ucp.lang.internal;

import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.SourceText;
import io.ucp.lang.diagnostic.SpecException;

import org.antlr.v4.runtime.atn.PredictionMode;

import java.util.Optional;
import java.util.function.BiFunction;

/// From text to a checked spec, in the steps that the package names.
public final class SpecParser {
    private SpecParser() {}

    /// The checked tree of a text.
    ///
    /// @throws SpecException with everything that is wrong with the text
    public static Spec parse(SourceText source) {
        Problems problems = new Problems();
        Spec spec = read(source, problems);
        Checks.run(spec, problems);
        problems.throwIfAny();
        return spec;
    }

    /// The checked tree of a text with the statements of its imports in their place.
    ///
    /// @param imports the text that a target means, for the text that imports it
    /// @throws SpecException with everything that is wrong with the texts
    public static Spec parse(
            SourceText source, BiFunction<String, SourceText, Optional<SourceText>> imports) {
        Problems problems = new Problems();
        Spec spec = new Imports(imports, SpecParser::read, problems).resolve(source);
        Checks.run(spec, problems);
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
        parser.setErrorHandler(new Recovery(tokens, problems));
        parser.getInterpreter().setPredictionMode(PredictionMode.SLL);
        UclParser.FileContext file = parser.file();
        return new SpecBuilder(tokens, problems).spec(file);
    }
}
