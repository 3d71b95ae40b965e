package io.ucp.formats.mcore;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.TargetFile;
import io.ucp.formats.WriteRequest;

import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/// Files that no rank owns, as they are.
public final class SideFiles {
    private SideFiles() {}

    /// @param folder of the target, in which they lie again
    public static void add(
            WriteRequest request, String folder, List<TargetFile> files, List<String> losses) {
        Set<String> taken = new HashSet<>();
        files.forEach(f -> taken.add(f.path()));
        for (CarriedFile file : request.carried()) {
            if (!file.role().equals(Roles.SIDE) || file.file().isEmpty()) {
                continue;
            }
            String path = folder + "/" + file.path();
            if (!taken.add(path)) {
                losses.add(file.path() + ": the target has a file of that name");
                continue;
            }
            var bytes = file.file().get();
            files.add(
                    new TargetFile(
                            path,
                            bytes.size(),
                            bytes.size() == 0
                                    ? List.of()
                                    : List.of(
                                            new TargetFile.Part.Copied(0, bytes, 0, bytes.size())),
                            List.of(),
                            Optional.empty()));
        }
    }
}
