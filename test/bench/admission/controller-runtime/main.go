// The same mutation as the other servers of this benchmark, in the way that the documentation of controller-runtime
// shows: the pod is decoded into corev1.Pod, changed, encoded again, and the patch is what differs.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

const registry = "registry.slipway-system.svc"
const pullSecret = "slipway-pull"

type mutator struct{ decoder admission.Decoder }

func (m *mutator) Handle(_ context.Context, request admission.Request) admission.Response {
	pod := &corev1.Pod{}
	if err := m.decoder.Decode(request, pod); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	originals := map[string]string{}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for index := range list {
			if image := list[index].Image; strings.HasPrefix(image, "docker.io/") {
				originals[list[index].Name] = image
				list[index].Image = registry + "/" + image
			}
		}
	}
	if !namesPullSecret(pod) {
		pod.Spec.ImagePullSecrets = append(pod.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: pullSecret})
	}
	text, err := json.Marshal(map[string]any{"containers": originals})
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations["slipway.dev/original-images"] = string(text)
	changed, err := json.Marshal(pod)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	return admission.PatchResponseFromRaw(request.Object.Raw, changed)
}

func namesPullSecret(pod *corev1.Pod) bool {
	for _, secret := range pod.Spec.ImagePullSecrets {
		if secret.Name == pullSecret {
			return true
		}
	}
	return false
}

// Arguments: the certificate and its key. The first line of its output is the port.
func main() {
	scheme := runtime.NewScheme()
	must(corev1.AddToScheme(scheme))
	must(admissionv1.AddToScheme(scheme))
	hook := &admission.Webhook{Handler: &mutator{decoder: admission.NewDecoder(scheme)}}
	http.Handle("/mutate", hook)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	server := &http.Server{TLSConfig: &tls.Config{NextProtos: []string{"http/1.1"}}}
	must(server.ServeTLS(listener, os.Args[1], os.Args[2]))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
