/// Our own universal checkpoint: whole parameters in Arrow IPC files, one manifest, everything else
/// carried beside them. `docs/universal-format.md` is the specification.
///
/// ```
/// manifest.json                     written last: what is here, and a digest of every tensor
/// states/<state>-00001.arrow        one column `values`; a tensor is record batches of its own
/// carried/<source path>.zip         a source file without the tensors of its parameters
/// ```
///
/// Every byte of the folder is under a checksum: tensors under their digests (compressed ones also
/// under zstd's), every Arrow message and footer under a CRC-32C in its own padding, archives under
/// zip's CRC-32, the manifest under its last line.
///
/// Arrow's metadata is made and read with Arrow's generated flatbuffers classes only, not with its
/// vectors: no native memory, no flags, and little to load.
@NullMarked
package io.ucp.formats.universal;

import org.jspecify.annotations.NullMarked;
