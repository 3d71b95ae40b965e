/// What folders of Hugging Face models have in common, whatever container their weights are in: the
/// index of several files, `config.json`, the files beside, and how weights are chosen and divided
/// for writing. No format: the formats that write such folders are made of it.
@NullMarked
package io.ucp.formats.hub;

import org.jspecify.annotations.NullMarked;
