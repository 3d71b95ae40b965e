package io.ucp.lang;

import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.Diagnostic;
import io.ucp.lang.diagnostic.SourceText;
import io.ucp.lang.internal.Printer;
import io.ucp.lang.internal.SpecParser;
import io.ucp.lang.internal.Unused;

import java.util.List;

/// The language: the only way in.
public final class Ucl {
    private Ucl() {}

    /// Reads and checks a spec, as far as that needs no checkpoint. Its imports stay imports, and
    /// what they may define is not missed.
    ///
    /// @throws io.ucp.lang.diagnostic.SpecException with everything that is wrong with the text
    public static Spec parse(SourceText source) {
        return SpecParser.parse(source);
    }

    /// Reads and checks a spec together with its imports: the result has their statements in the
    /// place of the imports, less those that the spec replaces, each with its span in the text it
    /// comes from.
    ///
    /// @throws io.ucp.lang.diagnostic.SpecException with everything that is wrong with the texts
    public static Spec parse(SourceText source, ImportSource imports) {
        return SpecParser.parse(source, imports::find);
    }

    /// What a checked spec defines and never uses, as warnings in the order of the text.
    public static List<Diagnostic> warnings(Spec spec) {
        return Unused.in(spec);
    }

    /// The canonical text of a spec, with its comments. Parsing it gives the same tree.
    public static String format(Spec spec) {
        return Printer.print(spec);
    }

    /// The canonical text of a text that is well formed; formatting it again changes nothing.
    ///
    /// @throws io.ucp.lang.diagnostic.SpecException with every syntax error
    public static String format(SourceText source) {
        return Printer.print(SpecParser.parseSyntax(source));
    }
}
