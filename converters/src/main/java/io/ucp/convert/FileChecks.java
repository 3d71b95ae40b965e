package io.ucp.convert;

import io.ucp.convert.Verification.Difference;
import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Finding;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/// Damage in the files themselves, outside of what digests of parameters cover.
final class FileChecks {
    private FileChecks() {}

    static List<Difference> of(CheckpointIndex index) throws IOException {
        List<Difference> out = new ArrayList<>();
        for (CheckpointFormat format : CheckpointFormat.all()) {
            if (format.name().equals(index.format())) {
                for (Finding damage : format.damage(index)) {
                    out.add(new Difference(damage.place(), "", damage.message()));
                }
            }
        }
        return out;
    }
}
