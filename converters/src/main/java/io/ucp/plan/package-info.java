/// What is to be copied where, as data: steps that tile every target file.
@NullMarked
package io.ucp.plan;

import org.jspecify.annotations.NullMarked;
