package io.ucp.formats;

import java.util.List;
import java.util.Optional;

/// The rank-sharded checkpoint that a state came from, which a universal form remembers.
///
/// @param format of the first source, e.g. `deepspeed`
/// @param mesh of the job that wrote it
/// @param stage ZeRO stage, or -1
/// @param spec the UCL that described it, where one did
public record Origin(
        String format, String tag, int stage, List<AxisDegree> mesh, Optional<String> spec) {
    public Origin {
        mesh = List.copyOf(mesh);
    }
}
