package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Finding;
import io.ucp.formats.TargetTree;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.torch.TorchFolder;
import io.ucp.io.ByteSource;
import io.ucp.io.Checksummed;
import io.ucp.io.PlainName;
import io.ucp.io.WholeFile;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;

/// What DeepSpeed reads with `{"checkpoint": {"load_universal": true}}`, read and written.
public final class DeepSpeedUniversalFormat implements CheckpointFormat {
    static final String NAME = "deepspeed-universal";
    static final String POINTER = "latest_universal";
    private static final int LONGEST_POINTER = 4096;

    @Override
    public String name() {
        return NAME;
    }

    /// After DeepSpeed's own: in a root, `latest` comes before `latest_universal`.
    @Override
    public int precedence() {
        return 60;
    }

    /// The folder itself where it has a `zero/`; else what `latest_universal` names, then the other
    /// universal folders of a root. A pointer that names no folder beside it leads nowhere.
    @Override
    public List<Candidate> find(Path path) throws IOException {
        if (!Files.isDirectory(path)) {
            return List.of();
        }
        if (Files.isDirectory(path.resolve(UniversalFolder.ZERO))) {
            return List.of(candidate(path, ""));
        }
        List<Candidate> found = new ArrayList<>();
        Optional<String> latest = latest(path);
        // A folder that is not there: reading it says so.
        latest.ifPresent(name -> found.add(candidate(path.resolve(name), POINTER)));
        for (Path folder : UniversalFolder.sorted(path)) {
            String name = folder.getFileName().toString();
            if (name.endsWith(UniversalFolder.SUFFIX)
                    && !latest.equals(Optional.of(name))
                    && Files.isDirectory(folder.resolve(UniversalFolder.ZERO))) {
                found.add(candidate(folder, ""));
            }
        }
        return found;
    }

    private static Candidate candidate(Path folder, String pointer) {
        return new Candidate(NAME, folder, tag(folder), pointer);
    }

    private static Optional<String> latest(Path root) throws IOException {
        Path pointer = root.resolve(POINTER);
        if (!Files.isRegularFile(pointer) || Files.size(pointer) > LONGEST_POINTER) {
            return Optional.empty();
        }
        String name = new String(WholeFile.read(pointer), StandardCharsets.UTF_8).strip();
        return Optional.of(name).filter(PlainName::is);
    }

    /// Without the ending that writing adds, so that a tag is the same however often it is
    /// converted.
    private static String tag(Path folder) {
        Path name = folder.toAbsolutePath().normalize().getFileName();
        String tag = name == null ? "" : name.toString();
        return tag.endsWith(UniversalFolder.SUFFIX)
                        && tag.length() > UniversalFolder.SUFFIX.length()
                ? tag.substring(0, tag.length() - UniversalFolder.SUFFIX.length())
                : tag;
    }

    @Override
    public CheckpointIndex index(Candidate candidate) throws IOException {
        return UniversalIndex.of(candidate);
    }

    @Override
    public List<Checksummed> checksums(CheckpointIndex index, Collection<ByteSource> read)
            throws IOException {
        return TorchFolder.checksums(read);
    }

    @Override
    public List<Finding> damage(CheckpointIndex index) throws IOException {
        return TorchFolder.damage(index.folder());
    }

    @Override
    public TargetTree layout(WriteRequest request) {
        return UniversalLayout.of(request);
    }
}
