// Writes tests/vectors/json/go_json.json: values and the exact text that Go's encoding/json gives them.
//
//	go run tests/vectors/make_json_vectors.go > tests/vectors/json/go_json.json
//
// Numbers are named by their bits and strings by their bytes in hex, so that reading the file needs nothing of what it
// tests. The random values come from a fixed seed.
package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/rand"
	"os"
	"runtime"
	"strings"
)

type row struct {
	Value any    `json:"value"`
	Text  string `json:"text"`
}

type inner struct {
	Cores float64  `json:"cores"`
	Names []string `json:"names,omitempty"`
}

type outer struct {
	Text  string
	Nonce uint64         `json:"nonce"`
	Data  []byte         `json:"data"`
	Items []inner        `json:"items"`
	Table map[string]int `json:"table,omitempty"`
	Maybe *bool          `json:"maybe,omitempty"`
}

func text(v any) string {
	out, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(out)
}

func floats(random *rand.Rand) (doubles []row, singles []row) {
	values := []float64{0, math.Copysign(0, -1), 1, -1, 0.1, 0.2, 0.3, 1.0 / 3, 2.5, 100, 1e5, 123456789.125,
		1e-5, 1e-6, 9.999999e-7, 1e-7, 1.5e-10, 1e-9, 1e-10, 1e-99, 1e-100, 1e-308, 5e-324, 2.2250738585072014e-308,
		1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 123456789012345678901, 1e21, 999999999999999934464, 9.99e20, 1.1e21, 1e22,
		1e99, 1e100, 1.7976931348623157e308, 9007199254740991, 9007199254740992, 9007199254740994, 4503599627370495.5,
		math.MaxFloat32, math.SmallestNonzeroFloat32, math.Pi, math.E, 1e-6 * 1.0000001, 0.000001234, 0.0000001234}
	for _, v := range values {
		values = append(values, -v)
	}
	for i := 0; i < 120; i++ {
		v := math.Float64frombits(random.Uint64())
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			values = append(values, v)
		}
		values = append(values, math.Ldexp(random.Float64(), random.Intn(140)-70))
	}
	for _, v := range values {
		doubles = append(doubles, row{fmt.Sprintf("%016x", math.Float64bits(v)), text(v)})
		if s := float32(v); !math.IsInf(float64(s), 0) {
			singles = append(singles, row{fmt.Sprintf("%08x", math.Float32bits(s)), text(s)})
		}
	}
	for i := 0; i < 100; i++ {
		if s := math.Float32frombits(random.Uint32()); s == s && !math.IsInf(float64(s), 0) {
			singles = append(singles, row{fmt.Sprintf("%08x", math.Float32bits(s)), text(s)})
		}
	}
	return doubles, singles
}

func random_text(random *rand.Rand) string {
	alphabet := []string{"a", "\"", "\\", "/", "<", ">", "&", "\n", "\x00", "\x7f", "\u2028", "\u2029", "é", "中",
		"\U0001f600", "\xff", "\xc3", "\xed\xa0\x80", "\xe2\x80", "\ufffd", "\t", "'", "=", "\b", "\f"}
	var out strings.Builder
	for n := random.Intn(12); n > 0; n-- {
		out.WriteString(alphabet[random.Intn(len(alphabet))])
	}
	return out.String()
}

func strings_(random *rand.Rand) (rows []row) {
	var values []string
	for b := 0; b < 256; b++ {
		values = append(values, string([]byte{byte(b)}))
	}
	values = append(values, "", "hello", "a<b>&c", "\u2027\u2028\u2029\u202a", "\xe2\x80", "\xe2\x80\xa8", "\xc0\x80", "\xc1\xbf",
		"\xed\x9f\xbf", "\xed\xa0\x80", "\xee\x80\x80", "\xf0\x8f\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
		"\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "a\xffb\xfec", "\xe4\xb8", "\xe4\xb8\xad", "\xf0\x9f\x98", "\xf0\x9f\x98\x80")
	for i := 0; i < 100; i++ {
		values = append(values, random_text(random))
	}
	for _, v := range values {
		rows = append(rows, row{hex.EncodeToString([]byte(v)), text(v)})
	}
	return rows
}

func integers() (signed []row, unsigned []row) {
	for _, v := range []int64{0, 1, -1, 9, 10, -10, 127, 128, 255, 256, 1 << 31, -1 << 31, 1<<53 + 1, math.MaxInt64, math.MinInt64} {
		signed = append(signed, row{fmt.Sprintf("%016x", uint64(v)), text(v)})
	}
	for _, v := range []uint64{0, 1, 1 << 63, math.MaxUint64, math.MaxInt64, 1<<53 + 1} {
		unsigned = append(unsigned, row{fmt.Sprintf("%016x", v), text(v)})
	}
	return signed, unsigned
}

func main() {
	random := rand.New(rand.NewSource(1))
	doubles, singles := floats(random)
	signed, unsigned := integers()
	var bytes, maps []row
	for n := 0; n < 40; n++ {
		data := make([]byte, n)
		random.Read(data)
		bytes = append(bytes, row{hex.EncodeToString(data), text(data)})
	}
	for n := 0; n < 30; n++ {
		keys := []string{}
		table := map[string]int{}
		for i := 0; i < n%8; i++ {
			key := strings.ToValidUTF8(random_text(random), "?")
			keys = append(keys, hex.EncodeToString([]byte(key)))
			table[key] = i
		}
		maps = append(maps, row{keys, text(table)})
	}
	var documents []string
	for n := 0; n < 40; n++ {
		yes := n%2 == 0
		data := make([]byte, random.Intn(20))
		random.Read(data)
		document := outer{Text: strings.ToValidUTF8(random_text(random), "\ufffd"), Nonce: random.Uint64(), Data: data, Items: []inner{}}
		for i := 0; i < n%4; i++ {
			document.Items = append(document.Items, inner{Cores: math.Ldexp(random.Float64(), random.Intn(100)-30), Names: []string{"n", "m"}[:i%3]})
		}
		if n%3 == 0 {
			document.Table = map[string]int{"z": 1, "a": -2, "é": 3, "Z": n}
		}
		if n%5 != 0 {
			document.Maybe = &yes
		}
		documents = append(documents, text(document))
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", " ")
	err := encoder.Encode(map[string]any{"made_by": "encoding/json of " + runtime.Version()[:6], "float64": doubles, "float32": singles,
		"string": strings_(random), "int64": signed, "uint64": unsigned, "bytes": bytes, "map": maps, "document": documents})
	if err != nil {
		panic(err)
	}
}
