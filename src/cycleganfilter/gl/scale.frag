// SPDX-License-Identifier: MIT OR Apache-2.0

// Scales a part of a frame to the generator's picture with a triangle filter.

uniform sampler2D frame;
// The part's first column and row in the frame.
uniform ivec2 origin;
// Size of the part after halving, in pixels.
uniform ivec2 size;
// Position of the first output pixel's centre in the part, and the distance to the next.
uniform vec2 start;
uniform vec2 step_size;
// Half of the filter's base, and the number of pixels under it.
uniform vec2 reach;
uniform ivec2 taps;
// How often the part is halved first, by the mean of 2×2 pixels.
uniform int halvings;

out vec4 color;

vec3 halved(ivec2 place) {
    if (halvings == 0) {
        return texelFetch(frame, origin + place, 0).rgb;
    }
    int corners = 1 << (halvings - 1);
    vec2 texture_size = vec2(textureSize(frame, 0));
    vec3 sum = vec3(0.0);
    for (int y = 0; y < corners; y++) {
        for (int x = 0; x < corners; x++) {
            // At the corner of four pixels, the texture's linear filter returns their mean.
            ivec2 corner = origin + 2 * (place * corners + ivec2(x, y)) + 1;
            sum += textureLod(frame, vec2(corner) / texture_size, 0.0).rgb;
        }
    }
    return sum / float(corners * corners);
}

void main() {
    vec2 last = vec2(size - 1);
    vec2 centre = clamp(start + floor(gl_FragCoord.xy) * step_size, vec2(0.0), last);
    ivec2 first = ivec2(floor(centre)) - (taps - 1) / 2;
    vec3 sum = vec3(0.0);
    float total = 0.0;
    for (int j = 0; j < taps.y; j++) {
        int y = first.y + j;
        float row_weight = max(1.0 - abs(centre.y - float(y)) / reach.y, 0.0);
        for (int i = 0; i < taps.x; i++) {
            int x = first.x + i;
            float weight = row_weight * max(1.0 - abs(centre.x - float(x)) / reach.x, 0.0);
            sum += weight * halved(clamp(ivec2(x, y), ivec2(0), size - 1));
            total += weight;
        }
    }
    color = vec4(sum / total, 1.0);
}
