package io.ucp.formats.mcore;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.TargetFile;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.hub.SideFiles;
import io.ucp.formats.training.StateDictKeys;
import io.ucp.formats.training.Untold;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/// Files that no rank owns, as they are: those of the source's folder, and what lay in the folder
/// around a DeepSpeed checkpoint, as far as it is not that job's own.
public final class FilesBeside {
    /// The source's job's alone; a state dict, whose facts are told one by one.
    private static final Set<String> OTHERS =
            Set.of(
                    SideFiles.BESIDE,
                    StateDictKeys.ROLE,
                    StateDictKeys.SHARDED,
                    StateDictKeys.OBJECT);

    private FilesBeside() {}

    /// @param folder of the target, in which they lie again
    /// @param losses what has no place there, and is told nowhere else
    public static void add(
            WriteRequest request, String folder, List<TargetFile> files, List<String> losses) {
        Set<String> taken = new HashSet<>();
        files.forEach(f -> taken.add(f.path()));
        List<CarriedFile> left = new ArrayList<>();
        for (CarriedFile file : request.carried()) {
            Optional<String> name = nameOf(file);
            if (name.isEmpty()) {
                left.add(file);
                continue;
            }
            String path = folder + "/" + name.get();
            if (taken.add(path)) {
                files.add(SideFiles.written(file, path));
            } else {
                losses.add(name.get() + ": the target has a file of that name");
            }
        }
        losses.addAll(Untold.losses(left, OTHERS, "Megatron-LM"));
    }

    private static Optional<String> nameOf(CarriedFile file) {
        return file.role().equals(Roles.SIDE) ? Optional.of(file.path()) : SideFiles.nameOf(file);
    }
}
