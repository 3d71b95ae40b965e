/// What is said about a text: where, what was found, what was expected, what to do. Shared by the
/// language and by everything that judges a spec later (binding, planning).
@NullMarked
package io.ucp.lang.diagnostic;

import org.jspecify.annotations.NullMarked;
