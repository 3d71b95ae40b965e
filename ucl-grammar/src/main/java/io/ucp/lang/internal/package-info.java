/// How text becomes a tree and a tree becomes text. Reached through [io.ucp.lang.Ucl] only.
///
/// ```
/// text --UclLexer--> tokens --UclParser (Recovery, Expected)--> parse tree --SpecBuilder--> Spec --Checks--> Spec
/// Spec --Printer--> canonical text
/// ```
@NullMarked
package io.ucp.lang.internal;

import org.jspecify.annotations.NullMarked;
