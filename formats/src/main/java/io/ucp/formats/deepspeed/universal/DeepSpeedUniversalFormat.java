package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.TargetTree;
import io.ucp.formats.WriteRequest;
import io.ucp.io.MalformedFileException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/// What DeepSpeed reads with `{"checkpoint": {"load_universal": true}}`, read and written.
public final class DeepSpeedUniversalFormat implements CheckpointFormat {
    static final String NAME = "deepspeed-universal";
    static final String POINTER = "latest_universal";
    private static final int LONGEST_NAME = 4096;

    @Override
    public String name() {
        return NAME;
    }

    /// What `latest_universal` names; without it, the folder itself where it has a `zero/`.
    @Override
    public List<Candidate> find(Path path) throws IOException {
        Path pointer = path.resolve(POINTER);
        if (Files.isRegularFile(pointer)) {
            Path folder = path.resolve(named(pointer));
            return List.of(new Candidate(NAME, folder, tag(folder), POINTER));
        }
        if (Files.isDirectory(path.resolve(UniversalFolder.ZERO))) {
            return List.of(new Candidate(NAME, path, tag(path), ""));
        }
        return List.of();
    }

    private static String named(Path pointer) throws IOException {
        String name =
                Files.size(pointer) > LONGEST_NAME
                        ? ""
                        : new String(Files.readAllBytes(pointer), StandardCharsets.UTF_8).strip();
        if (name.isEmpty()
                || name.equals(".")
                || name.equals("..")
                || name.chars().anyMatch(c -> c == '/' || c == '\\' || Character.isISOControl(c))) {
            throw new MalformedFileException(
                    pointer,
                    -1,
                    "it does not name a folder beside it",
                    "one name, such as global_step3_universal",
                    "write the folder's name into it, or name the folder itself as the source");
        }
        return name;
    }

    /// Without the ending that writing adds, so that a tag is the same however often it is converted.
    private static String tag(Path folder) {
        Path name = folder.toAbsolutePath().normalize().getFileName();
        String tag = name == null ? "" : name.toString();
        return tag.endsWith(UniversalFolder.SUFFIX) && tag.length() > UniversalFolder.SUFFIX.length()
                ? tag.substring(0, tag.length() - UniversalFolder.SUFFIX.length())
                : tag;
    }

    @Override
    public CheckpointIndex index(Candidate candidate) throws IOException {
        return UniversalIndex.of(candidate);
    }

    @Override
    public TargetTree layout(WriteRequest request) {
        return UniversalLayout.of(request);
    }
}
