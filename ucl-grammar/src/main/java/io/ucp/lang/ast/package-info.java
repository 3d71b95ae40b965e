/// The syntax tree of the universal checkpoint language: immutable records, each with the span it
/// was written at ([io.ucp.lang.diagnostic.Span#NONE] when a program built it). A tree says what
/// the author wrote and no more: names are not looked up, expressions not evaluated.
@NullMarked
package io.ucp.lang.ast;

import org.jspecify.annotations.NullMarked;
