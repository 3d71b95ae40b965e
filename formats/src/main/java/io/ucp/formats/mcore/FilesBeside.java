package io.ucp.formats.mcore;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.TargetFile;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.hub.SideFiles;
import io.ucp.formats.training.StateDictKeys;
import io.ucp.formats.training.TrainingState;

import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/// Files that no rank owns, as they are: those of the source's folder, and what lay in the folder
/// around a DeepSpeed checkpoint, as far as it is not that job's own.
public final class FilesBeside {
    private FilesBeside() {}

    /// @param folder of the target, in which they lie again
    /// @param losses what has no place there, and is told nowhere else
    public static void add(
            WriteRequest request, String folder, List<TargetFile> files, List<String> losses) {
        Set<String> taken = new HashSet<>();
        files.forEach(f -> taken.add(f.path()));
        Map<String, Integer> others = new TreeMap<>();
        for (CarriedFile file : request.carried()) {
            Optional<String> name = nameOf(file);
            if (name.isEmpty()) {
                if (!isTold(file)) {
                    others.merge(file.role(), 1, Integer::sum);
                }
                continue;
            }
            String path = folder + "/" + name.get();
            if (taken.add(path)) {
                files.add(SideFiles.written(file, path));
            } else {
                losses.add(name.get() + ": the target has a file of that name");
            }
        }
        others.forEach(
                (role, count) ->
                        losses.add(
                                "%s (%d file%s): Megatron-LM has no place for it"
                                        .formatted(role, count, count == 1 ? "" : "s")));
    }

    private static Optional<String> nameOf(CarriedFile file) {
        return file.role().equals(Roles.SIDE) ? Optional.of(file.path()) : SideFiles.nameOf(file);
    }

    /// Its facts are in the ranks' files or told as lost one by one, or it is of the job that the
    /// source is of alone.
    private static boolean isTold(CarriedFile file) {
        String role = file.role();
        if (role.startsWith(CarriedFile.BEFORE_RENAME)) {
            role = role.substring(CarriedFile.BEFORE_RENAME.length());
        }
        return role.equals(CarriedFile.FORM)
                || role.equals(SideFiles.BESIDE)
                || role.equals(StateDictKeys.ROLE)
                || TrainingState.ROLES.contains(role);
    }
}
